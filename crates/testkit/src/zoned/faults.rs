use rustix::process::Signal;

use super::{Member, ZonedFleet};

/// What is lost, and what is between members. Who is cut off is not waited for until it is back.
impl ZonedFleet {
    /// Kills all that is in a zone, at a time.
    ///
    /// # Panics
    /// Where some of it does not run.
    pub fn kill_zone(&mut self, zone: u8) {
        self.etcd.kill(usize::from(zone));
        let lost = self.in_zone(zone);
        lost.iter().for_each(|member| self.role(*member).signal(Signal::KILL));
        lost.into_iter().for_each(|member| self.kill(member));
    }

    /// Begins all that was killed in a zone.
    ///
    /// # Panics
    /// As [`Self::begin`].
    pub fn begin_zone(&mut self, zone: u8) {
        self.etcd.restart(usize::from(zone));
        let lost = Member::of_fleet().filter(|it| it.zone() == zone);
        lost.for_each(|member| self.begin(member));
    }

    /// Pulls a member's cable.
    pub fn cut_off(&mut self, member: Member) {
        self.hosts.cut_off(member.host());
        self.away.insert(member);
    }

    /// Plugs it in again.
    pub fn reconnect(&mut self, member: Member) {
        self.hosts.reconnect(member.host());
        self.away.remove(&member);
    }

    /// Cuts a zone off from the others, and from clients.
    pub fn cut_zone_off(&mut self, zone: u8) {
        self.hosts.cut_zone_off(zone);
        let cut = self.in_zone(zone);
        self.away.extend(cut);
    }

    /// Joins it to them again.
    pub fn reconnect_zone(&mut self, zone: u8) {
        self.hosts.reconnect_zone(zone);
        self.away.retain(|member| member.zone() != zone);
    }

    /// Has clients reach a proxy also while its zone is cut off, and the other one as before: what is read by either
    /// must be what was written by the other. For loads that begin after.
    pub fn lay_cable(&self, proxy: Member) {
        self.hosts.lay_cable(Member::Clients.host(), proxy.host());
    }

    /// Has them reach it as before; for loads that begin after.
    pub fn remove_cable(&self) {
        self.hosts.remove_cable(Member::Clients.host());
    }

    /// Has one member hear nothing of what the others of the fleet send it, who hear it still; with clients it speaks.
    pub fn deafen(&mut self, member: Member) {
        self.others(member).for_each(|it| self.hosts.cut_one_way(it.host(), member.host()));
        self.away.insert(member);
    }

    /// It hears all again.
    pub fn undeafen(&mut self, member: Member) {
        self.others(member).for_each(|it| self.hosts.mend_one_way(it.host(), member.host()));
        self.away.remove(&member);
    }

    /// Has the others of the fleet hear nothing of what one member sends them, which hears them still; with clients it
    /// speaks.
    pub fn mute(&mut self, member: Member) {
        self.others(member).for_each(|it| self.hosts.cut_one_way(member.host(), it.host()));
        self.away.insert(member);
    }

    /// All hear it again.
    pub fn unmute(&mut self, member: Member) {
        self.others(member).for_each(|it| self.hosts.mend_one_way(member.host(), it.host()));
        self.away.remove(&member);
    }

    /// All of the fleet but one, whether they run or not.
    fn others(&self, member: Member) -> impl Iterator<Item = Member> + use<> {
        Member::of_fleet().filter(move |it| *it != member)
    }

    fn in_zone(&self, zone: u8) -> Vec<Member> {
        self.roles.keys().copied().filter(|it| it.zone() == zone).collect()
    }
}
