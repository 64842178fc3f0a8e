//! Messages about one slot: its number and epoch, then what the kind has.

use std::sync::Arc;

use memtide_engine_core::replication::{
    Entry, Message, Outcome, Position, Receipt, Record, SlotMessage,
};
use memtide_topology::{Epoch, RequestId, SlotId};

use crate::error::WireError;
use crate::frame::{put_counted, put_frame};
use crate::reader::Reader;

const OPEN: u8 = 64;
const OPENED: u8 = 65;
const DEPOSED: u8 = 66;
const ENTRIES: u8 = 67;
const ACK: u8 = 68;
const COPY_BEGINS: u8 = 69;
const COPY_ITEMS: u8 = 70;
const COPY_TAKEN: u8 = 71;
const COPY_ENDS: u8 = 72;
const CONSENT: u8 = 73;

/// The least that an entry takes: its position, the length of its change, and no request.
const ENTRY_BYTES_MIN: usize = 16 + 4 + 1;
/// The least that a record takes: its id, its version, and no outcome.
const RECORD_BYTES_MIN: usize = 16 + 8 + 1;

pub(super) fn encode(out: &mut Vec<u8>, slot: SlotId, message: &SlotMessage) {
    let (kind, epoch) = head(message);
    put_frame(out, kind, |out| {
        out.extend_from_slice(&slot.number().to_le_bytes());
        put_epoch(out, epoch);
        match message {
            SlotMessage::Open { .. } | SlotMessage::Deposed { .. } => {}
            SlotMessage::Opened { since, position, .. } => {
                put_epoch(out, *since);
                out.push(u8::from(position.is_some()));
                position.iter().for_each(|position| put_position(out, *position));
            }
            SlotMessage::Entries { after, entries, .. } => {
                put_position(out, *after);
                put_count(out, entries.len());
                entries.iter().for_each(|entry| put_entry(out, entry));
            }
            SlotMessage::Ack { version, .. } | SlotMessage::CopyTaken { version, .. } => {
                out.extend_from_slice(&version.to_le_bytes());
            }
            SlotMessage::CopyBegins { at: position, .. }
            | SlotMessage::Consent { position, .. } => put_position(out, *position),
            SlotMessage::CopyItems { items, .. } => out.extend_from_slice(items),
            SlotMessage::CopyEnds { records, forgotten, .. } => {
                out.extend_from_slice(&forgotten.to_le_bytes());
                put_count(out, records.len());
                records.iter().for_each(|record| put_record(out, record));
            }
        }
    });
}

pub(super) fn decode(kind: u8, reader: &mut Reader<'_>) -> Result<Message, WireError> {
    if !(OPEN..=CONSENT).contains(&kind) {
        return Err(WireError::Kind(kind));
    }
    let number = reader.u16("a slot")?;
    let slot =
        SlotId::new(number).ok_or(WireError::Number { what: "the slot", number: number.into() })?;
    let epoch = Epoch::new(reader.u64("an epoch")?);
    Ok(Message::Slot(slot, decode_body(kind, epoch, reader)?))
}

fn decode_body(kind: u8, epoch: Epoch, reader: &mut Reader<'_>) -> Result<SlotMessage, WireError> {
    Ok(match kind {
        OPEN => SlotMessage::Open { epoch },
        DEPOSED => SlotMessage::Deposed { epoch },
        OPENED => {
            let since = Epoch::new(reader.u64("an epoch")?);
            let is_whole = reader.flag("whether there is a position")?;
            let position = if is_whole { Some(position(reader)?) } else { None };
            SlotMessage::Opened { epoch, since, position }
        }
        ENTRIES => {
            let after = position(reader)?;
            let count = reader.count(ENTRY_BYTES_MIN, "entries")?;
            let entries = (0..count).map(|_| entry(reader).map(Arc::new));
            SlotMessage::Entries { epoch, after, entries: entries.collect::<Result<_, _>>()? }
        }
        ACK => SlotMessage::Ack { epoch, version: reader.u64("a version")? },
        COPY_TAKEN => SlotMessage::CopyTaken { epoch, version: reader.u64("a version")? },
        COPY_BEGINS => SlotMessage::CopyBegins { epoch, at: position(reader)? },
        CONSENT => SlotMessage::Consent { epoch, position: position(reader)? },
        COPY_ITEMS => SlotMessage::CopyItems { epoch, items: reader.rest().into() },
        _ => {
            let forgotten = reader.u64("a version")?;
            let count = reader.count(RECORD_BYTES_MIN, "records")?;
            let records = (0..count).map(|_| record(reader));
            let records = records.collect::<Result<_, _>>()?;
            SlotMessage::CopyEnds { epoch, records, forgotten }
        }
    })
}

fn head(message: &SlotMessage) -> (u8, Epoch) {
    match *message {
        SlotMessage::Open { epoch } => (OPEN, epoch),
        SlotMessage::Opened { epoch, .. } => (OPENED, epoch),
        SlotMessage::Deposed { epoch } => (DEPOSED, epoch),
        SlotMessage::Entries { epoch, .. } => (ENTRIES, epoch),
        SlotMessage::Ack { epoch, .. } => (ACK, epoch),
        SlotMessage::CopyBegins { epoch, .. } => (COPY_BEGINS, epoch),
        SlotMessage::CopyItems { epoch, .. } => (COPY_ITEMS, epoch),
        SlotMessage::CopyTaken { epoch, .. } => (COPY_TAKEN, epoch),
        SlotMessage::CopyEnds { epoch, .. } => (COPY_ENDS, epoch),
        SlotMessage::Consent { epoch, .. } => (CONSENT, epoch),
    }
}

fn put_epoch(out: &mut Vec<u8>, epoch: Epoch) {
    out.extend_from_slice(&epoch.number().to_le_bytes());
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    put_epoch(out, position.epoch);
    out.extend_from_slice(&position.version.to_le_bytes());
}

fn position(reader: &mut Reader<'_>) -> Result<Position, WireError> {
    let epoch = Epoch::new(reader.u64("a position")?);
    Ok(Position { epoch, version: reader.u64("a position")? })
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a message has few of them");
    out.extend_from_slice(&count.to_le_bytes());
}

fn put_id(out: &mut Vec<u8>, id: RequestId) {
    out.extend_from_slice(&id.client.to_le_bytes());
    out.extend_from_slice(&id.number.to_le_bytes());
}

fn id(reader: &mut Reader<'_>) -> Result<RequestId, WireError> {
    let client = reader.u64("a request's id")?;
    Ok(RequestId { client, number: reader.u64("a request's id")? })
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_position(out, entry.position);
    put_counted(out, &entry.change);
    out.push(u8::from(entry.request.is_some()));
    if let Some(Receipt { id, answered, outcome }) = &entry.request {
        put_id(out, *id);
        out.extend_from_slice(&answered.to_le_bytes());
        put_outcome(out, outcome.as_ref());
    }
}

fn entry(reader: &mut Reader<'_>) -> Result<Entry, WireError> {
    let position = position(reader)?;
    let change = reader.counted("a change")?.into();
    let has_request = reader.flag("whether there is a request")?;
    let request = match has_request {
        true => {
            let (id, answered) = (id(reader)?, reader.u64("a request's number")?);
            Some(Receipt { id, answered, outcome: outcome(reader)? })
        }
        false => None,
    };
    Ok(Entry { position, change, request })
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    put_id(out, record.id);
    out.extend_from_slice(&record.version.to_le_bytes());
    put_outcome(out, record.outcome.as_ref());
}

fn record(reader: &mut Reader<'_>) -> Result<Record, WireError> {
    let id = id(reader)?;
    let version = reader.u64("a version")?;
    Ok(Record { id, version, outcome: outcome(reader)? })
}

fn put_outcome(out: &mut Vec<u8>, outcome: Option<&Outcome>) {
    out.push(u8::from(outcome.is_some()));
    outcome.into_iter().for_each(|outcome| put_counted(out, outcome));
}

fn outcome(reader: &mut Reader<'_>) -> Result<Option<Outcome>, WireError> {
    match reader.flag("whether there is an outcome")? {
        true => Ok(Some(reader.counted("an outcome")?.into())),
        false => Ok(None),
    }
}
