//! Prints the platform that it was compiled for.

fn main() {
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    println!("compiled for {}/{processor}", std::env::consts::OS);
}
