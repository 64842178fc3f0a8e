//! Operators who wait for an answer.

use memtide_manager::{Manager, Operation, Outcome};

use crate::handle::{OperateError, Reply};

/// What was accepted and is not answered yet.
#[derive(Debug, Default)]
pub struct Orders {
    waiting: Vec<Order>,
    /// Commits that have begun, and that have ended.
    begun: u64,
    ended: u64,
}

#[derive(Debug)]
struct Order {
    operation: Operation,
    reply: Reply,
    /// What had begun when it was accepted.
    after: u64,
}

impl Orders {
    /// The manager has accepted an operation.
    pub fn accepted(&mut self, operation: Operation, reply: Reply) {
        self.waiting.push(Order { operation, reply, after: self.begun });
    }

    /// A commit begins.
    pub const fn begin(&mut self) {
        self.begun += 1;
    }

    /// The commit has ended, however.
    pub const fn end(&mut self) {
        self.ended = self.begun;
    }

    /// Takes those out that can be answered by what is stored, with their answers.
    pub fn due(&mut self, manager: &Manager) -> Vec<(Reply, Result<(), OperateError>)> {
        let is_still = self.begun == self.ended;
        let mut due = Vec::new();
        for order in std::mem::take(&mut self.waiting) {
            let had_its_turn = is_still || self.ended > order.after;
            match manager.outcome(&order.operation) {
                Outcome::Stored if had_its_turn => due.push((order.reply, Ok(()))),
                Outcome::Overtaken => due.push((order.reply, Err(OperateError::Overtaken))),
                // Whoever has gone was told that it takes longer.
                _ if order.reply.is_closed() => {}
                Outcome::Stored | Outcome::Waits => self.waiting.push(order),
            }
        }
        due
    }

    /// Takes all of them out: none will be done.
    pub fn give_up(&mut self) -> impl Iterator<Item = Reply> {
        std::mem::take(&mut self.waiting).into_iter().map(|order| order.reply)
    }
}
