//! The program itself: what it prints, what it refuses, how it ends.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_actix-rtc-sfu");

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--shards", "1"]).args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refusal(words: &[&str]) -> String {
    let output = program(words).output().unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_prints_two_lines_and_ends_in_order_when_told_to() {
    let mut child = program(&["--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    let address = ready.strip_prefix("actix-rtc-sfu is ready: http://").unwrap().trim_end_matches('/');
    let media = lines.next().unwrap().unwrap();
    assert!(media.starts_with("media: udp port(s) "), "{media}");
    assert_eq!(crate::web::get(address.parse().unwrap(), "/readyz").status, 200);
    let mut socket = crate::socket::Socket::open(address.parse().unwrap());
    let told = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(told.success());
    assert_eq!(socket.expect_close(), Some(1001));
    assert!(child.wait().unwrap().success());
    assert!(lines.next().is_none(), "nothing else is printed on standard output");
}

#[test]
fn the_environment_counts_less_than_a_flag() {
    let mut command = program(&["--listen", "127.0.0.1:0"]);
    command.env("ACTIX_RTC_LISTEN", "not an address").env("ACTIX_RTC_CERTIFICATE", "cert.pem");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    // The flag hides the bad address; the lonely certificate of the environment counts.
    assert!(said.contains("--key"), "{said}");
}

#[test]
fn mistakes_are_refused_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(refusal(&["--listen", &address]).contains("--listen takes another address"));
    assert!(refusal(&["--listen", "localhost"]).contains("--listen"));
    assert!(refusal(&["--max-rooms", "0"]).contains("1 to 1000000"));
    assert!(refusal(&["--no-such-flag"]).contains("--help"));
    let keys = ["--listen", "127.0.0.1:0", "--certificate", "/nonexistent.pem", "--key", "/nonexistent.pem"];
    assert!(refusal(&keys).contains("/nonexistent.pem"));
}

#[test]
fn help_names_every_option() {
    let mut child = program(&["--help"]).spawn().unwrap();
    let mut help = String::new();
    child.stdout.take().unwrap().read_to_string(&mut help).unwrap();
    assert!(child.wait().unwrap().success());
    // However wide the terminal is.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for option in ["--listen", "--udp-port", "--advertise", "--certificate", "--shutdown-deadline"] {
        assert!(help.contains(option), "{option}");
    }
    assert!(help.contains("[default: 127.0.0.1:8080]") && help.contains("ACTIX_RTC_LISTEN"));
}
