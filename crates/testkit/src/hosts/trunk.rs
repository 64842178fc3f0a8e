use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tappers::Tap;

/// Frames that are on their way from a zone to another, at most; 50 ms of 100,000 a second are fewer. What comes then
/// is lost, as on any line.
const TRAVELLING_MAX: usize = 8192;
/// The longest frame of an MTU of 1500 bytes, and more.
const FRAME_BYTES_MAX: usize = 2048;
/// What the addresses of hosts' hardware begin with; their zone and number follow.
const HARDWARE: [u8; 4] = [0x02, 0x4d, 0x54, 0x00];

/// What joins the zones: a switch in this process, which has a TAP device at the bridge of each zone. A frame that goes to
/// another zone travels for as long as is set, and is lost where a zone is cut off.
#[derive(Debug)]
pub(super) struct Trunk {
    lines: Arc<Lines>,
}

#[derive(Debug)]
struct Lines {
    zones: usize,
    is_cut: Vec<AtomicBool>,
    /// From each zone to each, one row after the other.
    delays_us: Vec<AtomicU64>,
}

/// When a frame arrives, and what it is.
type Travelling = (Instant, Box<[u8]>);

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Zone(u8),
    All,
    Nobody,
}

impl Trunk {
    /// Joins the bridges that these devices are at, one for each zone. Its threads end when the devices are deleted.
    pub(super) fn join(devices: Vec<Tap>) -> Self {
        let zones = devices.len();
        let lines = Lines {
            zones,
            is_cut: (0..zones).map(|_| AtomicBool::new(false)).collect(),
            delays_us: (0..zones * zones).map(|_| AtomicU64::new(0)).collect(),
        };
        let lines = Arc::new(lines);
        let devices: Vec<_> = devices.into_iter().map(Arc::new).collect();
        for (from, device) in devices.iter().enumerate() {
            let way = |(to, device): (usize, &Arc<Tap>)| {
                let (sender, receiver) = sync_channel(TRAVELLING_MAX);
                let device = Arc::clone(device);
                thread::spawn(move || arrive(&device, &receiver));
                (to, sender)
            };
            let others = devices.iter().enumerate().filter(|(to, _)| *to != from);
            let ways: Vec<_> = others.map(way).collect();
            let (device, lines) = (Arc::clone(device), Arc::clone(&lines));
            thread::spawn(move || depart(&device, from, &ways, &lines));
        }
        Self { lines }
    }

    /// Has all that goes into a zone or out of it be lost, or not.
    pub(super) fn set_cut(&self, zone: u8, is_cut: bool) {
        self.lines.is_cut[usize::from(zone)].store(is_cut, Ordering::Relaxed);
    }

    /// Frames travel for so long between these two zones, each way.
    pub(super) fn set_delay(&self, one: u8, other: u8, delay: Duration) {
        let (one, other) = (usize::from(one), usize::from(other));
        let delay_us = u64::try_from(delay.as_micros()).expect("a delay is short");
        for (from, to) in [(one, other), (other, one)] {
            self.lines.delays_us[from * self.lines.zones + to].store(delay_us, Ordering::Relaxed);
        }
    }
}

impl Lines {
    /// How long a frame travels; `None` where it is lost.
    fn delay(&self, from: usize, to: usize) -> Option<Duration> {
        let is_cut = |zone: usize| self.is_cut[zone].load(Ordering::Relaxed);
        if is_cut(from) || is_cut(to) {
            return None;
        }
        Some(Duration::from_micros(self.delays_us[from * self.zones + to].load(Ordering::Relaxed)))
    }
}

/// The address of a host's hardware.
pub(super) fn hardware(zone: u8, host: u8) -> String {
    let [a, b, c, d] = HARDWARE;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{zone:02x}:{host:02x}")
}

/// Sends what leaves a zone on its way, until the device is deleted.
fn depart(device: &Tap, from: usize, ways: &[(usize, SyncSender<Travelling>)], lines: &Lines) {
    let mut frame = [0; FRAME_BYTES_MAX];
    while let Ok(length) = device.recv(&mut frame) {
        let (now, frame) = (Instant::now(), &frame[..length]);
        let to = destination(frame);
        for (zone, way) in ways {
            let is_way = match to {
                To::All => true,
                To::Zone(to) => usize::from(to) == *zone,
                To::Nobody => false,
            };
            let Some(delay) = is_way.then(|| lines.delay(from, *zone)).flatten() else { continue };
            // Where the line is full, it is lost.
            let _ = way.try_send((now + delay, frame.into()));
        }
    }
}

/// Hands a zone what comes from one of the others, in order.
fn arrive(device: &Tap, way: &Receiver<Travelling>) {
    for (at, frame) in way {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        // A device that is deleted takes nothing.
        let _ = device.send(&frame);
    }
}

/// Where a frame goes, by the address that it begins with.
fn destination(frame: &[u8]) -> To {
    match frame.first_chunk::<6>() {
        Some([first, ..]) if first & 1 == 1 => To::All,
        Some([a, b, c, d, zone, _]) if [*a, *b, *c, *d] == HARDWARE => To::Zone(*zone),
        Some(_) | None => To::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_to_the_zone_in_its_address_or_to_all() {
        assert_eq!(hardware(2, 17), "02:4d:54:00:02:11");
        let frame = |address: [u8; 6]| [&address[..], &[0; 54]].concat();
        assert_eq!(destination(&frame([2, 0x4d, 0x54, 0, 2, 0x11])), To::Zone(2));
        assert_eq!(destination(&frame([0xff; 6])), To::All);
        assert_eq!(destination(&frame([0x33, 0x33, 0, 0, 0, 1])), To::All);
        assert_eq!(destination(&frame([2, 0, 0, 0, 0, 0x99])), To::Nobody);
        assert_eq!(destination(&[2, 0x4d]), To::Nobody);
    }
}
