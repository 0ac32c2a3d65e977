//! Tests of the configuration: precedence, and errors that say what to do.

use super::*;

/// Through the layers without the environment's say: none of its variables is set in tests.
fn config(words: &[&'static str]) -> Result<Config, ConfigError> {
    Config::from_words(std::iter::once("actix-rtc-sfu").chain(words.iter().copied()))
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("actix-rtc-sfu-{}-{name}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn with_file(path: &std::path::Path, words: &[&'static str]) -> Result<Config, ConfigError> {
    let path: &'static str = Box::leak(path.display().to_string().into_boxed_str());
    config(&[&["--config", path], words].concat())
}

#[test]
fn without_any_word_it_serves_this_machine() {
    let config = config(&[]).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
    assert!(config.include_loopback, "loopback is offered when listening on it");
    assert!(config.https.is_none());
    assert_eq!(config.limits.participants, 50);
    assert_eq!(config.timeouts.shutdown, Duration::from_secs(10));
}

#[test]
fn loopback_is_not_offered_to_the_world_unless_told() {
    assert!(!config(&["--listen", "0.0.0.0:80"]).unwrap().include_loopback);
    assert!(config(&["--listen", "0.0.0.0:80", "--include-loopback"]).unwrap().include_loopback);
    assert!(!config(&["--include-loopback=false"]).unwrap().include_loopback);
}

#[test]
fn a_flag_counts_more_than_the_file_and_that_more_than_the_default() {
    let path = file("precedence", "max-rooms = 7\nmax-participants = 8\nadvertise = [\"192.0.2.1\"]\n");
    let config = with_file(&path, &["--max-rooms", "9"]).unwrap();
    assert_eq!((config.limits.rooms, config.limits.participants, config.limits.viewers), (9, 8, 1_000));
    assert_eq!(config.advertise, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn several_addresses_can_be_advertised() {
    let config = config(&["--advertise", "192.0.2.1,2001:db8::1"]).unwrap();
    assert_eq!(config.advertise.len(), 2);
}

#[test]
fn a_misspelt_setting_in_the_file_is_named() {
    let path = file("misspelt", "max-romms = 7\n");
    let error = with_file(&path, &[]).unwrap_err().to_string();
    assert!(error.contains("max-romms") && error.contains("max-rooms"), "{error}");
}

#[test]
fn a_missing_file_is_an_error() {
    assert!(with_file(std::path::Path::new("/nonexistent/actix-rtc.toml"), &[]).is_err());
}

#[test]
fn half_of_https_is_an_error_that_names_the_other_half() {
    let error = config(&["--certificate", "cert.pem"]).unwrap_err().to_string();
    assert!(error.contains("--key"), "{error}");
    let error = config(&["--key", "key.pem"]).unwrap_err().to_string();
    assert!(error.contains("--certificate"), "{error}");
}

#[test]
fn values_out_of_range_are_refused_with_what_they_may_be() {
    for (words, expected) in [
        (["--max-rooms", "0"], "1 to 1000000"),
        (["--shutdown-deadline", "0"], "0.01 to 86400"),
        (["--shutdown-deadline", "NaN"], "0.01 to 86400"),
        (["--max-sdp-bytes", "10"], "1024 to 1048576"),
        (["--udp-port", "65535"], "or less"),
        (["--advertise", "0.0.0.0"], "unicast"),
        (["--log", "info,=!"], "for example"),
    ] {
        let words = if words[0] == "--udp-port" {
            config(&[words[0], words[1], "--shards", "2"])
        } else {
            config(&words)
        };
        let error = words.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn media_over_tcp_has_the_number_of_the_udp_port_unless_the_page_has_it() {
    let port = |words: &[&'static str]| config(&[&["--shards", "2"], words].concat()).unwrap().tcp_port;
    assert_eq!(port(&[]), Some(0));
    assert_eq!(port(&["--udp-port", "40000"]), Some(40_000));
    assert_eq!(port(&["--udp-port", "40000", "--tcp-port", "443"]), Some(443));
    assert_eq!(port(&["--udp-port", "40000", "--tcp=false"]), None);
    assert_eq!(port(&["--listen", "0.0.0.0:40001", "--udp-port", "40000"]), Some(0));
    let words = ["--shards", "2", "--listen", "0.0.0.0:444", "--tcp-port", "443"];
    let error = config(&words).unwrap_err().to_string();
    assert!(error.contains("--tcp-port 443") && error.contains("0.0.0.0:444"), "{error}");
    let error = config(&["--shards", "2", "--tcp-port", "65535"]).unwrap_err().to_string();
    assert!(error.contains("--tcp-port") && error.contains("or less"), "{error}");
}

#[test]
fn every_option_says_what_it_does_and_how_the_environment_names_it() {
    use clap::CommandFactory;
    for argument in Arguments::command().get_arguments() {
        let name = argument.get_id().as_str();
        assert!(argument.get_help().is_some_and(|help| help.to_string().len() > 20), "{name} has no help");
        assert!(argument.get_env().is_some(), "{name} has no environment variable");
    }
}
