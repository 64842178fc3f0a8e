//! What keys do. Pure.

use std::cmp::Ordering;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::screen::Node;

/// What `+` and `-` choose from.
const INTERVALS_MS: [u64; 9] = [200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000];

/// What whoever looks has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    pub sort: Sort,
    pub is_paused: bool,
    pub is_help: bool,
    /// The first node that is shown.
    pub offset: usize,
    interval: Duration,
}

/// By what nodes are in order, the greatest first; ids from the first on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Memory,
    Requests,
    Cpu,
    Id,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    GoOn,
    Quit,
}

impl Sort {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Requests => "requests",
            Self::Cpu => "CPU",
            Self::Id => "id",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Memory => Self::Requests,
            Self::Requests => Self::Cpu,
            Self::Cpu => Self::Id,
            Self::Id => Self::Memory,
        }
    }

    /// Equals are by id, so that they stay where they are.
    pub fn order(self, one: &Node, other: &Node) -> Ordering {
        let rate = |it: Option<f64>| it.unwrap_or(-1.0);
        let by = match self {
            Self::Memory => other.memory_used.cmp(&one.memory_used),
            Self::Requests => rate(other.requests).total_cmp(&rate(one.requests)),
            Self::Cpu => rate(other.cpu).total_cmp(&rate(one.cpu)),
            Self::Id => Ordering::Equal,
        };
        let number = |node: &Node| node.id.trim_start_matches('n').parse::<u64>().ok();
        by.then_with(|| number(one).cmp(&number(other))).then_with(|| one.id.cmp(&other.id))
    }
}

impl Controls {
    /// Looks each `interval`.
    pub const fn new(interval: Duration) -> Self {
        Self { sort: Sort::Memory, is_paused: false, is_help: false, offset: 0, interval }
    }

    /// Between two looks.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Does what `key` says; `nodes` are there.
    pub fn press(&mut self, key: KeyEvent, nodes: usize) -> Step {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        let last = nodes.saturating_sub(1);
        match key.code {
            KeyCode::Char('c') if is_control => return Step::Quit,
            KeyCode::Char('q') | KeyCode::Esc => return Step::Quit,
            KeyCode::Char('?' | 'h') => self.is_help = !self.is_help,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.offset = 0;
            }
            KeyCode::Char('+' | '=') => self.step(|it, now| it < now, true),
            KeyCode::Char('-') => self.step(|it, now| it > now, false),
            KeyCode::Down | KeyCode::Char('j') => self.offset = (self.offset + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.offset = self.offset.saturating_sub(1),
            KeyCode::PageDown => self.offset = (self.offset + 10).min(last),
            KeyCode::PageUp => self.offset = self.offset.saturating_sub(10),
            KeyCode::Home | KeyCode::Char('g') => self.offset = 0,
            _ => {}
        }
        Step::GoOn
    }

    /// To the nearest interval that is shorter, or longer; `+` looks more often.
    fn step(&mut self, is_beyond: fn(Duration, Duration) -> bool, is_shorter: bool) {
        let now = self.interval;
        let all = INTERVALS_MS.map(Duration::from_millis);
        let beyond = all.into_iter().filter(|it| is_beyond(*it, now));
        let nearest = if is_shorter { beyond.max() } else { beyond.min() };
        self.interval = nearest.unwrap_or(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(controls: &mut Controls, keys: &str) -> Step {
        let code = |key| match key {
            '^' => KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
            '!' => KeyEvent::from(KeyCode::Esc),
            key => KeyEvent::from(KeyCode::Char(key)),
        };
        keys.chars().map(|key| controls.press(code(key), 5)).last().unwrap_or(Step::GoOn)
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let second = Duration::from_secs(1);
        for quit in ["q", "!", "^"] {
            assert_eq!(press(&mut Controls::new(second), quit), Step::Quit, "{quit}");
        }
        let mut controls = Controls::new(second);
        assert_eq!(press(&mut controls, "cx"), Step::GoOn);
        assert_eq!(controls, Controls::new(second));
        press(&mut controls, "pjjk?");
        assert!(controls.is_paused && controls.is_help && controls.offset == 1);
        press(&mut controls, "jjjjjjjj");
        assert_eq!(controls.offset, 4, "the last of five");
        press(&mut controls, "p?s");
        assert_eq!(controls, Controls { sort: Sort::Requests, ..Controls::new(second) });
        press(&mut controls, "sss");
        assert_eq!(controls.sort, Sort::Memory);
    }

    #[test]
    fn intervals_go_from_step_to_step_and_end() {
        let mut controls = Controls::new(Duration::from_millis(1_500));
        let mut after = |keys| {
            press(&mut controls, keys);
            controls.interval().as_millis()
        };
        assert_eq!((after("+"), after("+"), after("+++")), (1_000, 500, 200));
        assert_eq!((after("-"), after("---------------")), (500, 60_000));
    }

    #[test]
    fn nodes_are_in_order_and_equals_by_their_number() {
        let node = |id: &str, memory_used, cpu| Node {
            id: id.to_owned(),
            memory_used,
            cpu,
            ..Node::default()
        };
        let nodes = [
            node("n10", Some(5), None),
            node("n2", Some(5), Some(0.1)),
            node("n3", None, Some(0.9)),
        ];
        let ids = |sort: Sort| {
            let mut nodes = nodes.clone();
            nodes.sort_by(|one, other| sort.order(one, other));
            nodes.map(|node| node.id).join(" ")
        };
        assert_eq!(ids(Sort::Memory), "n2 n10 n3");
        assert_eq!(ids(Sort::Cpu), "n3 n2 n10");
        assert_eq!(ids(Sort::Id), "n2 n3 n10");
        assert_eq!(ids(Sort::Requests), "n2 n3 n10");
    }
}
