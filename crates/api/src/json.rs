//! JSON for the look-ups that everything waits for.
//!
//! It writes what `serde_json` writes, byte by byte, for what answers are made of: objects with names
//! that we chose, words, identifiers, instants and lists of them. Names are copied as they stand, and a
//! text is looked through at once for what would have to be escaped, not one character after the other:
//! that takes a third of the time, and a verification is mostly its answer. What it does not know it
//! refuses, and `serde_json` writes the whole.

use core::fmt;

use serde::Serialize;
use serde::ser::{
    Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer,
};

/// Appends a value as JSON.
///
/// # Errors
/// If it cannot be written as JSON.
pub(crate) fn append(bytes: &mut Vec<u8>, value: &impl Serialize) -> serde_json::Result<()> {
    let from = bytes.len();
    value.serialize(Writer(bytes)).or_else(|Unknown| {
        bytes.truncate(from);
        serde_json::to_writer(bytes, value)
    })
}

/// A value of a kind that is not written here.
#[derive(Debug)]
struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not written here")
    }
}

impl core::error::Error for Unknown {}

impl serde::ser::Error for Unknown {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

struct Writer<'b>(&'b mut Vec<u8>);

impl Writer<'_> {
    fn by_serde_json(self, value: &impl Serialize) -> Result<(), Unknown> {
        serde_json::to_writer(self.0, value).map_err(Unknown::custom)
    }
}

/// Whether a text stands in JSON as it is (RFC 8259 §7): it has no quotation mark, no backslash and no
/// control character.
pub(crate) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_escaped = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    match (bytes.as_chunks().0, bytes.last_chunk()) {
        // Eight at once, the last eight perhaps a second time.
        (eights, Some(last)) => !eights.iter().chain([last]).any(|eight| has_escaped(*eight)),
        _ => !bytes.iter().any(is_escaped),
    }
}

/// How many bytes at the front are ASCII and stand in JSON as they are.
pub(crate) fn plain_ascii(bytes: &[u8]) -> usize {
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let is_odd = |eight: [u8; 8]| has_escaped(eight) || u64::from_ne_bytes(eight) & HIGH != 0;
    let eights = bytes.as_chunks().0.iter();
    let plain = 8 * eights.take_while(|eight| !is_odd(**eight)).count();
    let is_plain = |byte: &u8| (0x20..0x80).contains(byte) && *byte != b'"' && *byte != b'\\';
    plain
        + bytes[plain..]
            .iter()
            .take_while(|byte| is_plain(byte))
            .count()
}

/// Whether one of eight bytes is escaped in JSON.
fn has_escaped(eight: [u8; 8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let eight = u64::from_ne_bytes(eight);
    // Borrows into the high bit of a byte that is less; a borrow that goes on comes from one that was.
    let has_less = |bytes: u64, than: u64| bytes.wrapping_sub(EACH * than) & !bytes & HIGH;
    let has = |byte: u8| has_less(eight ^ (EACH * u64::from(byte)), 1);
    has_less(eight, 0x20) | has(b'"') | has(b'\\') != 0
}

impl<'b> Serializer for Writer<'b> {
    type Ok = ();
    type Error = Unknown;
    type SerializeSeq = Parts<'b>;
    type SerializeTuple = Parts<'b>;
    type SerializeTupleStruct = Impossible<(), Unknown>;
    type SerializeTupleVariant = Impossible<(), Unknown>;
    type SerializeMap = Parts<'b>;
    type SerializeStruct = Parts<'b>;
    type SerializeStructVariant = Impossible<(), Unknown>;

    fn serialize_str(self, text: &str) -> Result<(), Unknown> {
        if !is_plain(text) {
            return self.by_serde_json(&text);
        }
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> Result<(), Unknown> {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.0.extend_from_slice(word);
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Unknown> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unknown> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unknown> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
    ) -> Result<(), Unknown> {
        self.serialize_str(word)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unknown> {
        value.serialize(self)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Unknown> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Unknown> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unknown> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unknown> {
        self.by_serde_json(&value)
    }

    fn serialize_i8(self, value: i8) -> Result<(), Unknown> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Unknown> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Unknown> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Unknown> {
        self.by_serde_json(&value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'b>, Unknown> {
        Ok(Parts::begin(self.0, b'[', b']'))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'b>, Unknown> {
        Ok(Parts::begin(self.0, b'[', b']'))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'b>, Unknown> {
        Ok(Parts::begin(self.0, b'{', b'}'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'b>, Unknown> {
        Ok(Parts::begin(self.0, b'{', b'}'))
    }

    fn serialize_char(self, _: char) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn serialize_f32(self, _: f32) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn serialize_f64(self, _: f64) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Unknown> {
        Err(Unknown)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unknown> {
        Err(Unknown)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unknown> {
        Err(Unknown)
    }
}

/// The elements of a list or the members of an object.
struct Parts<'b> {
    bytes: &'b mut Vec<u8>,
    is_first: bool,
    close: u8,
}

impl<'b> Parts<'b> {
    fn begin(bytes: &'b mut Vec<u8>, open: u8, close: u8) -> Self {
        bytes.push(open);
        Self {
            bytes,
            is_first: true,
            close,
        }
    }

    fn next(&mut self) {
        if !core::mem::take(&mut self.is_first) {
            self.bytes.push(b',');
        }
    }

    fn finish(self) {
        self.bytes.push(self.close);
    }
}

impl SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unknown> {
        debug_assert!(is_plain(name), "the names of members are ours");
        let open: &[u8] = if self.is_first { b"\"" } else { b",\"" };
        self.is_first = false;
        self.bytes.extend_from_slice(open);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
        value.serialize(Writer(self.bytes))
    }

    fn end(self) -> Result<(), Unknown> {
        self.finish();
        Ok(())
    }
}

impl SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
        self.next();
        value.serialize(Writer(self.bytes))
    }

    fn end(self) -> Result<(), Unknown> {
        self.finish();
        Ok(())
    }
}

impl SerializeTuple for Parts<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), Unknown> {
        SerializeSeq::end(self)
    }
}

impl SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Unknown> {
        self.next();
        let from = self.bytes.len();
        name.serialize(Writer(self.bytes))?;
        // A name is a text; serde_json knows which others it makes one of.
        if self.bytes.get(from) != Some(&b'"') {
            return Err(Unknown);
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
        self.bytes.push(b':');
        value.serialize(Writer(self.bytes))
    }

    fn end(self) -> Result<(), Unknown> {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        InsufficientScope,
        Rare(f64),
    }

    #[derive(Debug, Serialize)]
    struct Id([u8; 2]);

    #[derive(Debug, Serialize)]
    struct Answer {
        valid: bool,
        code: Word,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        slug: Option<String>,
        scopes: Vec<String>,
        by_name: BTreeMap<String, Option<i64>>,
        by_number: BTreeMap<u8, Id>,
        pair: (u64, i32),
        #[expect(clippy::option_option, reason = "as answers have it")]
        expires_at: Option<Option<u16>>,
        nothing: (),
    }

    fn answer() -> impl Strategy<Value = Answer> {
        let text = || prop_oneof!["[a-z\"\\\\\u{1f}\u{7f}é/]{0,40}", any::<String>()];
        let word = prop_oneof![
            Just(()).prop_map(|()| Word::InsufficientScope),
            (-1e9..1e9).prop_map(Word::Rare),
        ];
        let texts = (
            text(),
            proptest::option::of(text()),
            proptest::collection::vec(text(), 0..4),
        );
        let maps = (
            proptest::collection::btree_map(text(), any::<Option<i64>>(), 0..3),
            proptest::collection::btree_map(any::<u8>(), any::<[u8; 2]>().prop_map(Id), 0..2),
        );
        let rest = (
            any::<bool>(),
            word,
            any::<(u64, i32)>(),
            any::<Option<Option<u16>>>(),
        );
        (texts, maps, rest).prop_map(|(texts, maps, rest)| Answer {
            valid: rest.0,
            code: rest.1,
            name: texts.0,
            slug: texts.1,
            scopes: texts.2,
            by_name: maps.0,
            by_number: maps.1,
            pair: rest.2,
            expires_at: rest.3,
            nothing: (),
        })
    }

    proptest! {
        #[test]
        fn it_writes_what_serde_json_writes(answer in answer()) {
            let mut bytes = b"behind ".to_vec();
            append(&mut bytes, &answer).unwrap();
            let mut expected = b"behind ".to_vec();
            serde_json::to_writer(&mut expected, &answer).unwrap();
            prop_assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn every_character_that_is_escaped_is_seen() {
        for code in 0..=0x200_u32 {
            let text = char::from_u32(code).unwrap().to_string();
            let plain = serde_json::to_string(&text).unwrap() == format!("\"{text}\"");
            for before in 0..18 {
                for after in [0, 1, 7, 8] {
                    let text = format!("{}{text}{}", "é".repeat(before), "~".repeat(after));
                    assert_eq!(is_plain(&text), plain, "{code:#x} in {text:?}");
                    let text = text.replace('é', "e");
                    let all = if plain && text.is_ascii() {
                        text.len()
                    } else {
                        before
                    };
                    assert_eq!(plain_ascii(text.as_bytes()), all, "{code:#x} in {text:?}");
                }
            }
        }
    }
}
