//! Everything over HTTP that needs no media.

use crate::{
    server::TestServer,
    socket::Socket,
    web::{self, SDP, get, post_sdp, request},
};

const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

#[test]
fn page_health_and_metrics_are_served() {
    let server = TestServer::start();
    let page = get(server.address, "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(server.address, path).status, 200, "{path}");
    }
    let health: serde_json::Value = serde_json::from_str(&get(server.address, "/healthz").body).unwrap();
    for feature in ["udp_gso", "udp_gro", "receive_buffer", "send_buffer"] {
        assert!(health["kernel"][feature].is_boolean(), "{health}");
    }
    let (_socket, _) = Socket::join(server.address, "demo", "");
    let metrics = get(server.address, "/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(metrics.body.contains("actix_rtc_sfu_websockets 1"), "{}", metrics.body);
    assert!(metrics.body.contains("actix_rtc_rooms{"));
    assert!(metrics.body.contains("actix_rtc_kernel_feature{feature=\"udp_gso\"}"));
}

#[test]
fn what_is_not_there_is_said_so_in_json() {
    let server = TestServer::start();
    for path in ["/nothing", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/debug/panic"] {
        let missing = get(server.address, path);
        assert_eq!((missing.status, missing.problem()["code"].as_str()), (404, Some("not-found")), "{path}");
    }
}

#[test]
fn offers_that_are_none_are_refused_with_the_reason() {
    let server = TestServer::start();
    let broken = format!("{SESSION}m=audio noport UDP/TLS/RTP/SAVPF 111\r\n");
    let problem = |response: web::Response| (response.status, response.problem());
    for endpoint in ["/whip/room", "/whep/room"] {
        let (status, reason) =
            problem(request(server.address, "POST", endpoint, Some(("text/plain", b"v=0"))));
        assert_eq!((status, reason["code"].as_str()), (415, Some("unsupported-type")));
        let (status, reason) = problem(request(server.address, "POST", endpoint, None));
        assert_eq!((status, reason["code"].as_str()), (415, Some("unsupported-type")));
        let large = "a".repeat(600 * 1024);
        let (status, reason) = problem(post_sdp(server.address, endpoint, &large));
        assert_eq!((status, reason["code"].as_str()), (413, Some("too-large")));
        let latin = request(server.address, "POST", endpoint, Some((SDP, b"v=0\r\ns=\xff\r\n")));
        let (status, reason) = problem(latin);
        assert_eq!((status, reason["line"].as_u64()), (400, Some(2)));
    }
    let (status, reason) = problem(post_sdp(server.address, "/whip/room", &broken));
    assert_eq!(
        (status, reason["code"].as_str(), reason["line"].as_u64()),
        (400, Some("invalid-sdp"), Some(5))
    );
    let with_parameter =
        request(server.address, "POST", "/whip/room", Some(("Application/SDP; charset=utf-8", b"")));
    assert_eq!(problem(with_parameter).0, 400, "the type is right whatever its case and parameters");
    let (status, reason) = problem(post_sdp(server.address, "/whip/a%0Ab", &broken));
    assert_eq!((status, reason["field"].as_str()), (400, Some("room")));
}

#[test]
fn nobody_to_watch_is_not_found() {
    let server = TestServer::start();
    let (_ann, _) = Socket::join(server.address, "room", "Ann");
    for path in ["/whep/empty", "/whep/room", "/whep/room?publisher=nobody"] {
        let response = post_sdp(server.address, path, SESSION);
        assert_eq!((response.status, response.problem()["code"].as_str()), (404, Some("no-publisher")));
    }
}

#[test]
fn sessions_that_never_were_can_not_be_ended() {
    let server = TestServer::start();
    for path in ["/whip/room/no-such-session", "/whep/room/0123456789abcdef0123456789abcdef"] {
        let response = request(server.address, "DELETE", path, None);
        assert_eq!((response.status, response.problem()["code"].as_str()), (404, Some("no-such-session")));
    }
}

#[test]
fn pages_of_other_origins_may_use_whip_and_whep() {
    let server = TestServer::start();
    for path in ["/whip/room", "/whep/room", "/whip/room/session"] {
        let options = request(server.address, "OPTIONS", path, None);
        assert_eq!((options.status, options.header("access-control-allow-origin")), (204, Some("*")));
        assert!(options.header("access-control-allow-methods").is_some());
        assert_eq!(options.header("accept-post"), Some(SDP));
        assert_eq!(get(server.address, path).status, 204);
        let patched = request(server.address, "PATCH", path, None);
        assert_eq!((patched.status, patched.header("access-control-allow-origin")), (405, Some("*")));
        assert!(patched.header("allow").is_some());
    }
    let refused = post_sdp(server.address, "/whip/room", "");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"), "errors can be read as well");
}
