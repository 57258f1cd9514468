mod hostile;
mod machine;
mod messages;
