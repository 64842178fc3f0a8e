//! Control streams over real sockets and TLS.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Fleet, Forwarder, in_time, topology, welcome};
use memtide_control::{
    Adopted, Counted, FromScaler, Incoming, NodeControl, NodeUsage, ProxyControl, SlotUse,
    TicketSecret, ToScaler,
};
use memtide_engine_core::replication::Report;
use memtide_service::tls::fleet::Role;
use memtide_topology::{CacheId, Epoch, NodeId, SlotId, Topology};
use tokio::runtime::Handle;

#[tokio::test]
async fn a_node_is_welcomed_hears_topologies_and_is_heard() {
    let fleet = Fleet::new();
    let mut scaler = fleet.scaler();
    let node = fleet.node(&scaler);
    let (session, registration) = scaler.came().await;
    assert_eq!(registration, fleet.registration());
    scaler.publish(&topology(7));
    welcome(&session, &node, 7).await;
    assert_eq!(in_time(node.heard()).await, FromScaler::Topology(Arc::new(topology(7))));
    scaler.publish(&topology(9));
    assert_eq!(in_time(node.heard()).await, FromScaler::Topology(Arc::new(topology(9))));
    assert_eq!(node.trouble(), None);

    let usage = NodeUsage { items: 3, cpu_micros: u64::MAX, ..NodeUsage::default() };
    let report = Report::Incomplete(SlotId::new(5).unwrap(), Epoch::new(6));
    node.say(ToScaler::Beat { adopted: Epoch::new(9), usage });
    let uses = vec![SlotUse { slot: SlotId::new(7).unwrap(), bytes: 8, ecpu: 9 }];
    node.say(ToScaler::SlotUses(uses.clone()));
    node.say(ToScaler::Report(report));
    node.say(ToScaler::Leaving);
    let id = session.id();
    let mut heard = [false; 4];
    while heard != [true; 4] {
        match scaler.incoming().await {
            Incoming::NodeSlotUses { session, slots } => {
                assert_eq!((session, slots), (id, uses.clone()));
                heard[3] = true;
            }
            Incoming::NodeBeat { session, adopted, usage: said } => {
                assert_eq!((session, adopted, said), (id, Epoch::new(9), usage));
                heard[0] = true;
            }
            Incoming::NodeReports { session, reports } => {
                assert_eq!((session, reports), (id, vec![report]));
                heard[1] = true;
            }
            Incoming::NodeLeaving { session } => {
                assert_eq!(session, id);
                heard[2] = true;
            }
            other => panic!("{other:?}"),
        }
    }
    drop(node);
    let left = scaler.incoming().await;
    assert!(matches!(left, Incoming::NodeLeft { session } if session == id), "{left:?}");
}

#[tokio::test]
async fn nothing_is_pushed_to_a_node_before_it_is_welcome() {
    let fleet = Fleet::new();
    let (scaler, node, session) = fleet.coming().await;
    scaler.publish(&topology(2));
    let early = tokio::time::timeout(Duration::from_millis(50), node.heard()).await;
    assert!(early.is_err(), "{early:?}");
    welcome(&session, &node, 3).await;
}

#[tokio::test]
async fn a_node_comes_back_as_the_same_and_says_again_that_it_leaves() {
    let fleet = Fleet::new();
    let (mut scaler, node, _session) = fleet.welcomed().await;
    node.say(ToScaler::Leaving);
    let leaving = scaler.incoming().await;
    assert!(matches!(leaving, Incoming::NodeLeaving { .. }), "{leaving:?}");

    let mut scaler = scaler.restart(&fleet).await;
    let (session, registration) = scaler.came().await;
    assert_eq!(registration.node, Some(NodeId::new(7)));
    assert_eq!(registration.process, fleet.registration().process);
    session.welcome(NodeId::new(7));
    let leaving = scaler.incoming().await;
    assert!(matches!(leaving, Incoming::NodeLeaving { .. }), "{leaving:?}");
}

#[tokio::test]
async fn endpoints_are_tried_in_turn() {
    let fleet = Fleet::new();
    let mut scaler = fleet.scaler();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoints =
        vec![nobody.to_string(), "no-such-host.invalid:1".to_owned(), scaler.endpoint()];
    let tls = fleet.tls(Role::Proxy).client();
    let proxy = ProxyControl::spawn(&Handle::current(), endpoints, &tls, common::proxy(1));
    let came = scaler.incoming().await;
    assert!(matches!(came, Incoming::ProxyCame { program, .. } if program == common::program()));
    let beat = scaler.incoming().await;
    assert!(matches!(beat, Incoming::ProxyBeat { adopted: Epoch::ZERO, .. }), "{beat:?}");
    scaler.publish(&topology(4));
    let mut topologies = proxy.topologies();
    let newest = in_time(topologies.wait_for(|it| it.epoch() == Epoch::new(4))).await;
    assert_eq!(**newest.unwrap(), topology(4));
    assert_eq!(proxy.trouble(), None);
    let beat = scaler.incoming().await;
    assert!(matches!(beat, Incoming::ProxyBeat { .. }), "{beat:?}");
    drop(proxy);
    loop {
        match scaler.incoming().await {
            Incoming::ProxyBeat { .. } => {}
            Incoming::ProxyLeft { .. } => break,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_is_not_of_this_fleet_is_refused_for_good_and_told_why() {
    let fleet = Fleet::new();
    let mut scaler = fleet.scaler();
    let check = async |node: NodeControl, expected: &str| {
        let heard = in_time(node.heard()).await;
        assert_eq!(heard, FromScaler::Refused(expected.to_owned()));
    };
    let mut other_cache = fleet.registration();
    other_cache.cache = CacheId::new("other").unwrap();
    let node = fleet.node_as(&scaler, Role::Node, other_cache);
    check(node, "this scaler is of the cache default, not other").await;
    let node = fleet.node_as(&scaler, Role::Proxy, fleet.registration());
    check(node, "the certificate is proxy.memtide; this wants one of node.memtide").await;
    let node = fleet.node_as(&scaler, Role::Scaler, fleet.registration());
    check(node, "the certificate is no role's; this wants one of node.memtide").await;
    let mut nowhere = fleet.registration();
    nowhere.address = "nowhere".to_owned();
    check(fleet.node_as(&scaler, Role::Node, nowhere), "the address is not host:port").await;
    let node = fleet.node(&scaler);
    let (session, _) = scaler.came().await;
    session.refuse("n3 was forgotten");
    check(node, "n3 was forgotten").await;

    let tls = fleet.tls(Role::Node).client();
    let endpoints = vec![scaler.endpoint()];
    let proxy = ProxyControl::spawn(&Handle::current(), endpoints, &tls, common::proxy(1));
    let why = in_time(proxy.refused()).await;
    assert_eq!(why, "the certificate is node.memtide; this wants one of proxy.memtide");
}

#[tokio::test]
async fn who_shows_no_certificate_or_a_foreign_one_gets_nowhere() {
    let (fleet, foreign) = (Fleet::new(), Fleet::new());
    let mut scaler = fleet.scaler();
    let node = fleet.node_with(&scaler, &fleet.nameless(), fleet.registration());
    common::until(|| node.trouble().is_some_and(|why| why.contains("ertificate"))).await;
    let why = scaler.refusal().await;
    assert_eq!(why, "TLS handshake failed: peer sent no certificates");
    drop(node);
    let tls = foreign.tls(Role::Node).client();
    let node = fleet.node_with(&scaler, &tls, fleet.registration());
    common::until(|| node.trouble().is_some_and(|why| why.contains("ertificate"))).await;
    drop(node);
    // The next that comes is a good one.
    let _node = fleet.node(&scaler);
    assert_eq!(scaler.came().await.1, fleet.registration());
}

/// Nothing ends its connection: it is just not heard any more.
#[tokio::test]
async fn a_node_that_is_cut_off_is_noticed_and_comes_back() {
    let fleet = Fleet::new();
    let mut scaler = fleet.scaler();
    let forwarder = Forwarder::to(&scaler.endpoint()).await;
    let tls = fleet.tls(Role::Node).client();
    let endpoints = vec![forwarder.endpoint()];
    let node = NodeControl::spawn(&Handle::current(), endpoints, &tls, fleet.registration());
    let (session, _) = scaler.came().await;
    welcome(&session, &node, 7).await;
    forwarder.pause();
    let left = scaler.incoming().await;
    assert!(matches!(left, Incoming::NodeLeft { session: id } if id == session.id()), "{left:?}");
    forwarder.resume();
    let (_session, registration) = scaler.came().await;
    assert_eq!(registration.node, Some(NodeId::new(7)));
}

#[tokio::test]
async fn a_session_that_is_slow_holds_up_nobody_and_gets_the_newest() {
    const STEPS: u64 = 60;
    let fleet = Fleet::new();
    let scaler = fleet.scaler();
    let forwarder = Forwarder::to(&scaler.endpoint()).await;
    let tls = fleet.tls(Role::Proxy).client();
    let follow = |endpoint: String, seed| {
        ProxyControl::spawn(&Handle::current(), vec![endpoint], &tls, common::proxy(seed))
    };
    let slow = follow(forwarder.endpoint(), 1);
    let quick = follow(scaler.endpoint(), 2);
    scaler.publish(&common::busy_topology(1));
    let reached = async |proxy: &ProxyControl, epoch| {
        let mut topologies = proxy.topologies();
        let is_it = |it: &Arc<Topology>| it.epoch() == Epoch::new(epoch);
        in_time(topologies.wait_for(is_it)).await.unwrap();
    };
    reached(&slow, 1).await;
    forwarder.pause();
    let before = forwarder.bytes_back();
    for epoch in 2..=STEPS {
        scaler.publish(&common::busy_topology(epoch));
        reached(&quick, epoch).await;
    }
    assert_eq!(slow.topologies().borrow().epoch(), Epoch::new(1));
    forwarder.resume();
    reached(&slow, STEPS).await;
    let sent = forwarder.bytes_back() - before;
    let all = u64::try_from(common::busy_topology(1).encode().len()).unwrap() * STEPS;
    assert!(sent < all / 4, "{sent} bytes of {all} were sent to the slow one");
}

/// As when a scaler is started with an older copy of its data directory, or as none of its fleet.
#[tokio::test]
async fn who_has_adopted_more_than_a_scaler_has_goes_on_until_it_has_that() {
    let fleet = Fleet::new();
    let (scaler, node, session) = fleet.coming().await;
    scaler.publish(&topology(7));
    welcome(&session, &node, 7).await;
    assert_eq!(in_time(node.heard()).await, FromScaler::Topology(Arc::new(topology(7))));
    // From another node it has heard of more.
    node.say(ToScaler::Beat { adopted: Epoch::new(9), usage: NodeUsage::default() });

    let mut scaler = scaler.restart(&fleet).await;
    scaler.publish(&topology(8));
    match scaler.incoming().await {
        Incoming::Ahead { who, adopted } => {
            assert_eq!(who, "the node at 127.0.0.1:7000");
            assert_eq!(adopted, Adopted { epoch: Epoch::new(9), ..Adopted::of(&topology(8)) });
        }
        other => panic!("{other:?}"),
    }
    common::until(|| node.trouble().is_some_and(|why| why.contains("this process epoch 9"))).await;
    scaler.publish(&topology(10));
    let (session, registration) = loop {
        match scaler.incoming().await {
            Incoming::NodeCame { session, registration } => break (session, registration),
            Incoming::Ahead { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(registration.node, Some(NodeId::new(7)));
    welcome(&session, &node, 7).await;
    assert_eq!(in_time(node.heard()).await, FromScaler::Topology(Arc::new(topology(10))));
}

#[tokio::test]
async fn a_proxy_goes_on_with_what_it_has_whatever_a_scaler_answers() {
    let fleet = Fleet::new();
    let mut scaler = fleet.scaler();
    scaler.publish(&topology(7));
    let tls = fleet.tls(Role::Proxy).client();
    let endpoints = vec![scaler.endpoint()];
    let proxy = ProxyControl::spawn(&Handle::current(), endpoints, &tls, common::proxy(1));
    let mut topologies = proxy.topologies();
    in_time(topologies.wait_for(|it| it.epoch() == Epoch::new(7))).await.unwrap();
    let scaler_again = scaler.restart(&fleet).await;
    scaler = scaler_again;
    common::until(|| proxy.trouble().is_some_and(|why| why.contains("this process epoch 7"))).await;
    scaler.close("it stands still");
    common::until(|| proxy.trouble().is_some_and(|why| why.contains("it stands still"))).await;
    assert_eq!(proxy.topologies().borrow().epoch(), Epoch::new(7));
    let refused = tokio::time::timeout(Duration::from_millis(10), proxy.refused()).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn all_streams_end_with_the_reason_once_nobody_is_heard_any_more() {
    let fleet = Fleet::new();
    let (mut scaler, node, session) = fleet.welcomed().await;
    scaler.close("it stands still");
    common::until(|| node.trouble().is_some_and(|why| why.contains("it stands still"))).await;
    let left = scaler.incoming().await;
    assert!(matches!(left, Incoming::NodeLeft { session: id } if id == session.id()), "{left:?}");
}

#[tokio::test]
async fn who_is_turned_away_tries_again() {
    let fleet = Fleet::new();
    let (mut scaler, node, session) = fleet.coming().await;
    session.turn_away("not now");
    common::until(|| node.trouble().is_some_and(|why| why.contains("not now"))).await;
    let session = loop {
        if let Incoming::NodeCame { session, .. } = scaler.incoming().await {
            break session;
        }
    };
    welcome(&session, &node, 7).await;
}

/// Frames of the larger items would break the links of those that take smaller ones.
#[tokio::test]
async fn who_takes_other_items_is_refused_and_told_what_the_fleet_takes() {
    let fleet = Fleet::new();
    let scaler = fleet.scaler();
    let mut registration = fleet.registration();
    registration.item_size_max = 2 << 20;
    let node = fleet.node_as(&scaler, Role::Node, registration);
    let expected = "--item-size-max of this fleet is 1048576 bytes, not 2097152; give the same to the scaler, all nodes and all proxies";
    assert_eq!(in_time(node.heard()).await, FromScaler::Refused(expected.to_owned()));
    let tls = fleet.tls(Role::Proxy).client();
    let mut other = common::proxy(1);
    other.item_size_max = 2 << 20;
    let proxy = ProxyControl::spawn(&Handle::current(), vec![scaler.endpoint()], &tls, other);
    assert_eq!(in_time(proxy.refused()).await, expected);
}

/// Its counts go out at once, again on the next stream, and before it says that it leaves.
#[tokio::test]
async fn a_proxy_tells_what_it_has_counted_until_it_hears_that_it_is_written() {
    let fleet = Fleet::new();
    let mut scaler = fleet.scaler();
    let tls = fleet.tls(Role::Proxy).client();
    let endpoints = vec![scaler.endpoint()];
    let proxy = ProxyControl::spawn(&Handle::current(), endpoints, &tls, common::proxy(1));
    let counted = |process, bytes_out| Counted { process, bytes_out, ..Counted::default() };
    let said = vec![counted(1, u64::MAX), counted(9, 7)];
    proxy.count(said.clone());
    // A beat that comes before the answer to the one before it asks anew.
    while proxy.written() != [9] {
        let written = scaler.counted(&said).await.expect("it has one before it to be rid of");
        // Fails where it has asked anew.
        let _ = written.send(vec![9]);
    }
    proxy.count(vec![counted(1, 5)]);
    assert!(scaler.counted(&[counted(1, 5)]).await.is_none(), "nothing to be rid of");

    let mut scaler = scaler.restart(&fleet).await;
    scaler.counted(&[counted(1, 5)]).await;
    proxy.count(vec![counted(1, 6)]);
    let leave = tokio::spawn(async move { proxy.leave().await });
    let mut has_all = false;
    loop {
        match scaler.incoming().await {
            Incoming::ProxyBeat { counted: said, .. } => has_all = said == [counted(1, 6)],
            Incoming::ProxyLeaving { .. } => break,
            _ => {}
        }
    }
    assert!(has_all, "the newest was said before");
    leave.await.unwrap();
}

#[tokio::test]
async fn who_is_told_who_leads_goes_there_though_nobody_has_named_it() {
    let fleet = Fleet::new();
    let (standby, mut leader) = (fleet.scaler(), fleet.scaler());
    standby.stand_by(&leader.endpoint());
    let node = fleet.node(&standby);
    let (session, _) = leader.came().await;
    welcome(&session, &node, 7).await;
    let tls = fleet.tls(Role::Proxy).client();
    let endpoints = vec![standby.endpoint()];
    let proxy = ProxyControl::spawn(&Handle::current(), endpoints, &tls, common::proxy(1));
    let mut topologies = proxy.topologies();
    in_time(topologies.wait_for(|it| it.epoch() == Epoch::new(1))).await.unwrap();
}

/// It may have lost nothing but its streams: nobody else leads, whoever is asked.
#[tokio::test]
async fn who_has_lost_the_one_that_leads_goes_back_where_that_is_said_to_lead_on() {
    let fleet = Fleet::new();
    let (standby, mut leader) = (fleet.scaler(), fleet.scaler());
    standby.stand_by(&leader.endpoint());
    let node = fleet.node(&standby);
    let (session, _) = leader.came().await;
    welcome(&session, &node, 7).await;
    let mut leader = leader.restart(&fleet).await;
    let (session, registration) = leader.came().await;
    assert_eq!(registration.node, Some(NodeId::new(7)));
    session.welcome(NodeId::new(7));
    let mut leader = leader.restart(&fleet).await;
    assert_eq!(leader.came().await.1.node, Some(NodeId::new(7)), "each time");
}

#[tokio::test]
async fn whose_scaler_is_in_doubt_stays_until_another_says_that_it_leads() {
    let fleet = Fleet::new();
    let (mut cut_off, mut next) = (fleet.scaler(), fleet.scaler());
    next.stand_by("");
    let endpoints = vec![cut_off.endpoint(), next.endpoint()];
    let tls = fleet.tls(Role::Node).client();
    let node =
        NodeControl::spawn(&Handle::current(), endpoints.clone(), &tls, fleet.registration());
    let tls = fleet.tls(Role::Proxy).client();
    let proxy = ProxyControl::spawn(&Handle::current(), endpoints, &tls, common::proxy(1));
    let mut topologies = proxy.topologies();
    in_time(topologies.wait_for(|it| it.epoch() == Epoch::new(1))).await.unwrap();
    let session = loop {
        if let Incoming::NodeCame { session, .. } = cut_off.incoming().await {
            break session;
        }
    };
    welcome(&session, &node, 7).await;
    cut_off.in_doubt.send_replace(true);
    // For longer than it takes to ask: nobody leads.
    let ends = tokio::time::timeout(Duration::from_millis(1_500), async {
        loop {
            if matches!(
                cut_off.incoming().await,
                Incoming::NodeLeft { .. } | Incoming::ProxyLeft { .. }
            ) {
                break;
            }
        }
    });
    assert!(ends.await.is_err(), "a stream has ended, and there was nobody to go to");
    next.lead();
    next.publish(&topology(7));
    in_time(topologies.wait_for(|it| it.epoch() == Epoch::new(7))).await.unwrap();
    let registration = loop {
        if let Incoming::NodeCame { registration, .. } = next.incoming().await {
            break registration;
        }
    };
    assert_eq!(registration.node, Some(NodeId::new(7)));
}

#[tokio::test]
async fn a_proxy_hears_what_tickets_are_made_from_of_whichever_scaler_is_there() {
    let fleet = Fleet::new();
    let scaler = fleet.scaler();
    let secrets = [1, 2].map(|byte| TicketSecret::new([byte; TicketSecret::BYTES]));
    scaler.share(&secrets[..1]);
    let tls = fleet.tls(Role::Proxy).client();
    let endpoints = vec![scaler.endpoint()];
    let proxy = ProxyControl::spawn(&Handle::current(), endpoints, &tls, common::proxy(1));
    let mut heard = proxy.ticket_secrets();
    in_time(heard.wait_for(|heard| heard == &secrets[..1])).await.unwrap();
    scaler.share(&secrets);
    in_time(heard.wait_for(|heard| heard == &secrets)).await.unwrap();
    let scaler = scaler.restart(&fleet).await;
    scaler.share(&secrets[1..]);
    in_time(heard.wait_for(|heard| heard == &secrets[1..])).await.unwrap();
}
