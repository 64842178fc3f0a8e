use memtide_service::admin::{Condition, Health};

use crate::ScalerHandle;

impl Health for ScalerHandle {
    /// One that stands by is ready to lead.
    fn ready(&self) -> Result<(), String> {
        self.healthy()?;
        if self.lead.standby().is_some() {
            return self.etcd().and_then(|()| self.can_lead());
        }
        self.works()
    }

    fn conditions(&self) -> Vec<Condition> {
        let mut conditions = vec![Condition::needed("this process is well", self.healthy())];
        if !self.lead.is_shared() {
            conditions.push(Condition::needed("the topology can be changed", self.works()));
            return conditions;
        }
        conditions.push(Condition::needed("etcd answers", self.etcd()));
        match self.lead.standby() {
            Some(why) => {
                conditions.push(Condition::needed("this scaler can lead", self.can_lead()));
                conditions.push(Condition::wished("this scaler leads", Err(why)));
            }
            None => {
                conditions.push(Condition::wished("this scaler leads", Ok(())));
                conditions.push(Condition::needed("the topology can be changed", self.works()));
            }
        }
        conditions
    }

    fn healthy(&self) -> Result<(), String> {
        if self.asks.is_closed() {
            return Err("the scaler's thread has ended".to_owned());
        }
        Ok(())
    }
}

impl ScalerHandle {
    fn works(&self) -> Result<(), String> {
        let status = self.status();
        let why = self.lead.doubt().or_else(|| status.behind.clone());
        why.or_else(|| status.store_trouble()).map_or(Ok(()), Err)
    }

    fn etcd(&self) -> Result<(), String> {
        self.lead.away().map_or(Ok(()), Err)
    }

    fn can_lead(&self) -> Result<(), String> {
        self.lead.trouble().map_or(Ok(()), Err)
    }

    /// Why this scaler answers nothing of the fleet, and who does; `None` of one that leads.
    #[must_use]
    pub fn standby(&self) -> Option<String> {
        self.lead.standby()
    }
}
