//! `/v1/log`, read with crates that nobody here wrote: `signed_note` and `tlog_tiles`.

use keyledger_tests::{Client, Launch, OWNER_EMAIL, OWNER_ORG, OWNER_PASSWORD, Server};
use serde_json::json;
use signed_note::{Note, NoteError, StandardVerifier, VerifierList};
use tlog_tiles::tlog::{
    check_record, check_tree, prove_record, prove_tree, record_hash, tree_hash,
};
use tlog_tiles::{Checkpoint, Error, Hash, Tile, TileHashReader, TileReader};

use crate::world::world;

/// A tile of level 0 is full then, and there is one of level 1.
const FULL: u64 = 256;

/// What has one bit turned round before it is verified.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// A tile of this level.
    Tile(u8),
}

struct Log {
    _server: Server,
    owner: Client,
    wrong: Wrong,
}

impl Log {
    /// A server whose ledger has more records than a tile has hashes.
    fn start() -> Self {
        let server = Launch::new().start();
        let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
        let key = owner
            .post("/user/keys", &json!({ "handle": "auditor" }))
            .expect(201);
        let log = Self {
            owner: server.client().x_api_key(&key.string("token")),
            _server: server,
            wrong: Wrong::Nothing,
        };
        let last = log.make_events("First", FULL + 20);
        log.checkpoint_with(last);
        log
    }

    /// Gives the position of the last.
    fn make_events(&self, name: &str, count: u64) -> u64 {
        let path = format!("/v1/orgs/{OWNER_ORG}/teams");
        let mut last = 0;
        for number in 0..count {
            let made = self
                .owner
                .post(&path, &json!({ "name": format!("{name} {number}") }));
            let made = made.expect(201);
            let position = made.header("keyledger-position").expect("a position");
            last = position.parse().expect("a number");
        }
        last
    }

    /// A checkpoint that has this event: its proof waits until there is one.
    fn checkpoint_with(&self, position: u64) -> Vec<u8> {
        self.owner
            .get(&format!("/v1/events/{position}/proof"))
            .expect(200);
        let checkpoint = self.owner.get("/v1/log/checkpoint").expect(200);
        assert_eq!(
            checkpoint.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        checkpoint.bytes().to_vec()
    }

    fn verifiers(&self) -> VerifierList {
        let key = self.owner.get("/v1/log").expect(200).string("verifier_key");
        let verifier = StandardVerifier::new(&key).expect("a verifier key");
        VerifierList::new(vec![Box::new(verifier)])
    }

    fn open(&self, checkpoint: &[u8]) -> Result<Checkpoint, NoteError> {
        let note = Note::from_bytes(checkpoint)?;
        note.verify(&self.verifiers())?;
        let checkpoint = Checkpoint::from_bytes(note.text()).expect("a checkpoint");
        assert_eq!(checkpoint.extension(), "");
        Ok(checkpoint)
    }

    /// The records of the bundle of this tile, each behind its length.
    fn bundle(&self, tile: &str) -> Vec<Vec<u8>> {
        let reply = self
            .owner
            .get(&format!("/v1/log/tile/entries/{tile}"))
            .expect(200);
        let (mut bytes, mut records) = (reply.bytes(), Vec::new());
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let (record, rest) = rest.split_at(u16::from_be_bytes(*length).into());
            records.push(record.to_vec());
            bytes = rest;
        }
        records
    }
}

impl TileReader for Log {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            // What follows the height in the path is what C2SP has.
            let path = tile.path().replacen("tile/8/", "/v1/log/tile/", 1);
            let reply = self.owner.get(&path).expect(200);
            assert_eq!(
                reply.header("content-type"),
                Some("application/octet-stream")
            );
            let kept = reply.header("cache-control").expect("how long it is kept");
            assert!(
                kept.contains("immutable") && kept.contains("private"),
                "{kept}"
            );
            let mut bytes = reply.bytes().to_vec();
            if self.wrong == Wrong::Tile(tile.level()) {
                wrong_bit(&mut bytes);
            }
            bytes
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn wrong_bit(bytes: &mut [u8]) {
    bytes[bytes.len() / 2] ^= 1;
}

#[test]
fn others_verify_checkpoints_tiles_records_and_growth_and_find_each_wrong_bit() {
    let mut log = Log::start();
    let older = log.checkpoint_with(FULL + 1);
    let older = log.open(&older).expect("it is signed");
    let position = log.make_events("Later", 5);
    let text = log.checkpoint_with(position);
    let newer = log.open(&text).expect("it is signed");
    assert!(newer.size() >= position && newer.size() > older.size() && older.size() > FULL);
    let (size, root) = (newer.size(), *newer.hash());

    // The signature is over each of its bits.
    for place in 0..text.len() {
        let mut text = text.clone();
        text[place] ^= 1;
        assert!(log.open(&text).is_err(), "bit turned round at {place}");
    }

    // The tiles give the root, and it grew out of the older one.
    let hashes = TileHashReader::new(size, root, &log);
    assert_eq!(tree_hash(size, &hashes).expect("from tiles"), root);
    let growth = prove_tree(size, older.size(), &hashes).expect("from tiles");
    check_tree(&growth, size, root, older.size(), *older.hash()).expect("it extends it");
    let mut forked = *older.hash();
    wrong_bit(&mut forked.0);
    assert!(check_tree(&growth, size, root, older.size(), forked).is_err());

    // Each record is the leaf that the tiles have of it.
    let bundles = [
        log.bundle("000"),
        log.bundle(&format!("001.p/{}", size - FULL)),
    ];
    let records = bundles.concat();
    assert_eq!(u64::try_from(records.len()), Ok(size));
    for (number, record) in (0..).zip(&records) {
        let proof = prove_record(size, number, &hashes).expect("from tiles");
        let check = |record: &[u8]| check_record(&proof, size, root, number, record_hash(record));
        check(record).expect("it is in the tree");
        let mut record = record.clone();
        wrong_bit(&mut record);
        assert!(check(&record).is_err(), "record {number}");
    }

    for level in [0, 1] {
        log.wrong = Wrong::Tile(level);
        let hashes = TileHashReader::new(size, root, &log);
        let read = prove_record(size, 0, &hashes);
        assert!(
            matches!(read, Err(Error::InconsistentTile)),
            "level {level}"
        );
    }
}

#[test]
fn others_verify_the_proof_of_an_event_from_its_file_alone() {
    let log = Log::start();
    let path = format!("/v1/events/{FULL}");
    let record = log.owner.get(&format!("{path}/record")).expect(200);
    let proof = log.owner.get(&format!("{path}/proof")).expect(200);
    let (head, checkpoint) = proof.text().split_once("\n\n").expect("two parts");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
    assert_eq!(lines.next(), Some(&*format!("index {}", FULL - 1)));
    let hash = |line| Hash::parse_hash(line).expect("a hash");
    let path: Vec<Hash> = lines.map(hash).collect();
    let checkpoint = log.open(checkpoint.as_bytes()).expect("it is signed");
    let check = |path: &Vec<Hash>, record: &[u8]| {
        let (size, root) = (checkpoint.size(), *checkpoint.hash());
        check_record(path, size, root, FULL - 1, record_hash(record))
    };
    check(&path, record.bytes()).expect("it is in the log");
    for place in 0..path.len() {
        let mut path = path.clone();
        wrong_bit(&mut path[place].0);
        assert!(check(&path, record.bytes()).is_err(), "hash {place}");
    }
    for place in 0..record.bytes().len() {
        let mut record = record.bytes().to_vec();
        record[place] ^= 1;
        assert!(check(&path, &record).is_err(), "byte {place} of the record");
    }
}

#[test]
fn what_a_checkpoint_had_stays_served_and_nothing_beyond_the_last_one_is() {
    let log = Log::start();
    let whole = log.owner.get("/v1/log/tile/0/000").expect(200);
    assert_eq!(whole.bytes().len(), 256 * 32);
    for width in [1, 7, 255] {
        // Partial tiles of sizes that went by.
        let part = log
            .owner
            .get(&format!("/v1/log/tile/0/000.p/{width}"))
            .expect(200);
        assert_eq!(part.bytes(), &whole.bytes()[..width * 32], "{width}");
    }
    for beyond in [
        "0/001",
        "0/001.p/255",
        "0/002.p/1",
        "1/000",
        "1/000.p/2",
        "2/000.p/1",
        "8/000.p/1",
        "0/x000/000",
        "0/0",
        "0/000.p/0",
        "0/000.p/256",
        "-1/000",
        "entries/001",
        "entries/x001/000",
    ] {
        log.owner.get(&format!("/v1/log/tile/{beyond}")).expect(404);
    }
}

#[test]
fn n121_an_organizations_auditor_reads_hashes_and_no_entries_of_others() {
    let (_, person) = world().other_org();
    let stranger = world().with_key(&person.key);
    // The owner's proof waits until there is a checkpoint with a record.
    world().owner().get("/v1/events/1/proof").expect(200);
    stranger.get("/v1/log/checkpoint").expect(200);
    let tile = stranger.get("/v1/log/tile/0/000.p/1").expect(200);
    assert_eq!(tile.bytes().len(), 32);
    stranger.get("/v1/log/tile/entries/000.p/1").expect(403);
    // The first event founded another organization.
    for what in ["", "/proof", "/record"] {
        let there = stranger.get(&format!("/v1/events/1{what}")).expect(404);
        let nowhere = stranger.get(&format!("/v1/events/999999999{what}"));
        assert_eq!(there.likeness(), nowhere.expect(404).likeness(), "{what}");
    }
    world().anonymous().get("/v1/log/checkpoint").expect(401);
}
