mod machine;
mod messages;
mod paths;
