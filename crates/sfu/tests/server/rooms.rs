//! People in rooms, without media.

use serde_json::{Value, json};

use crate::{server::TestServer, socket::Socket};

fn ids(participants: &Value) -> Vec<&str> {
    participants.as_array().unwrap().iter().map(|participant| participant["id"].as_str().unwrap()).collect()
}

#[test]
fn people_meet_in_the_room_of_the_same_name() {
    let server = TestServer::start();
    let (mut ann, joined) = Socket::join(server.address, "demo", "Ann");
    assert_eq!(
        (joined["room"].as_str(), joined["participants"].as_array().unwrap().len()),
        (Some("demo"), 0)
    );
    let ann_id = joined["participant"].as_str().unwrap();
    let (mut ben, joined) = Socket::join(server.address, "demo", "Ben");
    assert_eq!(ids(&joined["participants"]), [ann_id]);
    assert_eq!(joined["participants"][0]["name"], "Ann");
    let ben_id = joined["participant"].as_str().unwrap().to_owned();
    let told = ann.expect("participant-joined");
    let expected = json!({"id": ben_id, "name": "Ben", "audio": false, "video": false, "tracks": []});
    assert_eq!(told["participant"], expected);
    let (_, elsewhere) = Socket::join(server.address, "other", "Chidi");
    assert!(ids(&elsewhere["participants"]).is_empty());

    ben.send(&json!({"type": "state", "audio": true, "video": false}));
    let updated = ann.expect("participant-updated");
    assert_eq!(
        (&updated["participant"]["id"], &updated["participant"]["audio"]),
        (&json!(ben_id), &json!(true))
    );
    ben.send(&json!({"type": "leave"}));
    assert_eq!(ann.expect("participant-left")["participant"], json!(ben_id));
    assert!(ann.settle().is_empty(), "nothing is told of another room");
}

#[test]
fn a_client_whose_connection_breaks_has_left() {
    let server = TestServer::start();
    let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
    let (ben, joined) = Socket::join(server.address, "demo", "Ben");
    drop(ben);
    assert_eq!(ann.expect("participant-left")["participant"], joined["participant"]);
}

#[test]
fn ids_can_not_be_guessed() {
    let server = TestServer::start();
    let (_ann, one) = Socket::join(server.address, "demo", "Ann");
    let (_ben, two) = Socket::join(server.address, "demo", "Ben");
    let id = one["participant"].as_str().unwrap();
    assert!(id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_ne!(one["participant"], two["participant"]);
}
