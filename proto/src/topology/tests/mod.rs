mod hostile;
mod machine;
mod messages;
mod paths;
