//! First uses: told by the server only, each once, and at most so many networks.

use super::world::*;
use crate::actor::Authority;
use crate::key_use::{NETWORKS_MAX, NetworkTag, NoteApiKeyUse};
use crate::refusal::{Noun, Refusal};

fn used(name: &str, network: Option<u8>) -> NoteApiKeyUse {
    NoteApiKeyUse {
        id: credential(name),
        network: network.map(|number| NetworkTag::from_bytes([number; 8])),
    }
}

fn no_key() -> Then {
    refused(Refusal::Unknown(Noun::Key))
}

#[test]
fn only_the_server_tells_and_each_thing_once() {
    table! { world();
        password("ada"), used("mia/keys", None)           => no_key();
        key("mia/keys"), used("mia/keys", Some(1))        => no_key();
        Authority::SYSTEM, used("nobody", Some(1))        => no_key();
        Authority::SYSTEM, used("mia/keys", None)         => happens("ApiKeyFirstUsed");
        Authority::SYSTEM, used("mia/keys", Some(1))      => happens("ApiKeyFirstUsed");
    }
    let used_once = world().after(Authority::SYSTEM, used("mia/keys", Some(1)));
    table! { used_once;
        Authority::SYSTEM, used("mia/keys", None)    => NOTHING;
        Authority::SYSTEM, used("mia/keys", Some(1)) => NOTHING;
        Authority::SYSTEM, used("mia/keys", Some(2)) => happens("ApiKeyNetworkFirstSeen");
        Authority::SYSTEM, used("ada/full", Some(1)) => happens("ApiKeyFirstUsed");
    }
}

#[test]
fn the_thirty_third_network_is_no_news() {
    let mut world = world();
    for number in 0..u8::try_from(NETWORKS_MAX).unwrap() {
        world = world.after(Authority::SYSTEM, used("mia/keys", Some(number)));
    }
    table! { world;
        Authority::SYSTEM, used("mia/keys", Some(200)) => NOTHING;
    }
    let known = world.directory.key_use(credential("mia/keys")).unwrap();
    assert_eq!(known.networks.len(), NETWORKS_MAX);
}

#[test]
fn a_tag_is_written_as_hexadecimal_and_read_back() {
    let tag = NetworkTag::from_bytes([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
    assert_eq!(tag.to_string(), "00010203fcfdfeff");
    assert_eq!(NetworkTag::try_from(tag.to_string()), Ok(tag));
    for bad in ["", "+0010203fcfdfeff", "00010203FCFDFEFF", "0001"] {
        assert!(NetworkTag::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}
