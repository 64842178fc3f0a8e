//! Requests, written to the end of a buffer: the client's side, for load generators and tests.
//!
//! Nothing is checked: what a caller puts in (a key with a space, a flag that there is not) goes
//! out. What [`crate::parse`] made of a request, [`command`] writes so that it is read alike.

use crate::encode::{decimal, end_line};
use crate::{
    Arithmetic, Command, Delete, Direction, Exptime, FlagTokens, Key, Retrieve, Store, StoreVerb,
    Touch,
};

/// Any command.
pub fn command(out: &mut Vec<u8>, command: &Command) {
    match command {
        Command::Retrieve(get) => retrieve_again(out, get),
        Command::Store(command) => store(out, command),
        Command::Delete(command) => delete(out, command),
        Command::Arithmetic(command) => arithmetic(out, command),
        Command::Touch(command) => touch(out, command),
        Command::MetaGet(command) => parsed_meta(out, b"mg ", command.key, command.flags),
        Command::MetaDelete(command) => parsed_meta(out, b"md ", command.key, command.flags),
        Command::MetaArithmetic(command) => parsed_meta(out, b"ma ", command.key, command.flags),
        Command::MetaSet(command) => {
            meta_set(out, command.key.token(), command.flags.text, command.value);
        }
        Command::MetaNoOp => out.extend_from_slice(b"mn\r\n"),
        Command::FlushAll { noreply } => end(out, b"flush_all", *noreply),
        Command::Stats => out.extend_from_slice(b"stats\r\n"),
        Command::StatsReset => out.extend_from_slice(b"stats reset\r\n"),
        Command::Version => out.extend_from_slice(b"version\r\n"),
        Command::Quit => out.extend_from_slice(b"quit\r\n"),
        Command::ConfigGetCluster => out.extend_from_slice(b"config get cluster\r\n"),
    }
}

/// `get`, `gets`, `gat` or `gats` for these keys.
pub fn retrieve<'k>(
    out: &mut Vec<u8>,
    keys: impl IntoIterator<Item = &'k [u8]>,
    with_cas: bool,
    touch: Option<Exptime>,
) {
    out.extend_from_slice(if touch.is_some() { b"gat" } else { b"get" });
    if with_cas {
        out.push(b's');
    }
    if let Some(exptime) = touch {
        out.push(b' ');
        decimal(out, exptime.to_wire());
    }
    for key in keys {
        out.push(b' ');
        out.extend_from_slice(key);
    }
    end_line(out);
}

/// `set`, `add`, `replace`, `append`, `prepend` or `cas`.
pub fn store(out: &mut Vec<u8>, command: &Store) {
    out.extend_from_slice(match command.verb {
        StoreVerb::Set => b"set ",
        StoreVerb::Add => b"add ",
        StoreVerb::Replace => b"replace ",
        StoreVerb::Append => b"append ",
        StoreVerb::Prepend => b"prepend ",
        StoreVerb::Cas(_) => b"cas ",
    });
    out.extend_from_slice(command.key);
    out.push(b' ');
    decimal(out, command.client_flags);
    out.push(b' ');
    decimal(out, command.exptime.to_wire());
    out.push(b' ');
    decimal(out, command.value.len());
    if let StoreVerb::Cas(cas) = command.verb {
        out.push(b' ');
        decimal(out, cas);
    }
    end(out, b"", command.noreply);
    out.extend_from_slice(command.value);
    end_line(out);
}

/// `delete`.
pub fn delete(out: &mut Vec<u8>, command: &Delete) {
    out.extend_from_slice(b"delete ");
    end(out, command.key, command.noreply);
}

/// `incr` or `decr`.
pub fn arithmetic(out: &mut Vec<u8>, command: &Arithmetic) {
    out.extend_from_slice(match command.direction {
        Direction::Increment => b"incr ",
        Direction::Decrement => b"decr ",
    });
    out.extend_from_slice(command.key);
    out.push(b' ');
    decimal(out, command.delta);
    end(out, b"", command.noreply);
}

/// `touch`.
pub fn touch(out: &mut Vec<u8>, command: &Touch) {
    out.extend_from_slice(b"touch ");
    out.extend_from_slice(command.key);
    out.push(b' ');
    decimal(out, command.exptime.to_wire());
    end(out, b"", command.noreply);
}

/// `mg <key> <flags>`, the flags separated by spaces.
pub fn meta_get(out: &mut Vec<u8>, key: &[u8], flags: &[u8]) {
    meta(out, b"mg ", key, flags);
}

/// `ms <key> <datalen> <flags>` and the data block.
pub fn meta_set(out: &mut Vec<u8>, key: &[u8], flags: &[u8], value: &[u8]) {
    out.extend_from_slice(b"ms ");
    out.extend_from_slice(key);
    out.push(b' ');
    decimal(out, value.len());
    out.push(b' ');
    end(out, flags, false);
    out.extend_from_slice(value);
    end_line(out);
}

/// `md <key> <flags>`
pub fn meta_delete(out: &mut Vec<u8>, key: &[u8], flags: &[u8]) {
    meta(out, b"md ", key, flags);
}

/// `ma <key> <flags>`
pub fn meta_arithmetic(out: &mut Vec<u8>, key: &[u8], flags: &[u8]) {
    meta(out, b"ma ", key, flags);
}

fn retrieve_again(out: &mut Vec<u8>, get: &Retrieve) {
    retrieve(out, get.keys(), get.with_cas, get.touch);
}

fn parsed_meta(out: &mut Vec<u8>, name: &[u8], key: Key, flags: FlagTokens) {
    meta(out, name, key.token(), flags.text);
}

fn meta(out: &mut Vec<u8>, name: &[u8], key: &[u8], flags: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(key);
    out.push(b' ');
    end(out, flags, false);
}

fn end(out: &mut Vec<u8>, words: &[u8], noreply: bool) {
    out.extend_from_slice(words);
    if noreply {
        out.extend_from_slice(b" noreply");
    }
    end_line(out);
}
