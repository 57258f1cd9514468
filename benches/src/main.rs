//! The `skbench` executable.

fn main() -> std::process::ExitCode {
    skbench::cli::main()
}
