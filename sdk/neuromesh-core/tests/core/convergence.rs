//! Presence reaches everybody.

use neuromesh_core::{
    Tier,
    sim::{Conditions, Peer, Speed},
};

use crate::world::{NO_TIME, all_know, config, crowd, lossy, model, ms, secs, seeds};

#[test]
fn a_hundred_and_twenty_nodes_converge_under_loss() {
    let (mut world, ids) = crowd(1, 120, lossy());
    let time = all_know(&mut world, &ids, secs(30), |_| true).expect("all 120 know all, seed 1");
    eprintln!("120 nodes converged after {time:?} of virtual time");
}

#[test]
fn every_seed_converges_and_a_change_reaches_all() {
    seeds(10..14, |seed| {
        let (mut world, ids) = crowd(seed, 30, lossy());
        all_know(&mut world, &ids, secs(30), |_| true).expect("all know all");
        let changed = ids[seed as usize % ids.len()];
        world.with(&changed, |peer, now| {
            peer.tell(now, neuromesh_core::mesh::Input::Models(vec![model("new", false)]));
        });
        all_know(&mut world, &ids, secs(30), |info| info.id != changed || info.models == ["new"])
            .expect("all know the new model");
    });
}

#[test]
fn the_sides_of_a_partition_forget_each_other_and_meet_again() {
    seeds(20..22, |seed| {
        let (mut world, ids) = crowd(seed, 24, lossy());
        all_know(&mut world, &ids, secs(30), |_| true).expect("all know all");
        let (left, right) = ids.split_at(12);
        world.partition(&[left, right]);
        world.run_for(secs(30));
        for who in left {
            assert!(right.iter().all(|id| world.machine(who).mesh.peer(id).is_none()), "forgotten");
        }
        world.heal();
        all_know(&mut world, &ids, secs(60), |_| true).expect("all know all again");
    });
}

#[test]
fn restarted_nodes_replace_their_former_lives() {
    seeds(30..32, |seed| {
        let (mut world, ids) = crowd(seed, 24, lossy());
        all_know(&mut world, &ids, secs(30), |_| true).expect("all know all");
        for (number, id) in ids.iter().enumerate().take(6) {
            world.crash(id).expect("it lives");
            world.run_for(ms(300));
            // Half of them come back without a clock: their generation does not move on.
            let mut config = config(number as u16, Tier::Cloud, seed);
            config.agent = "second life".to_owned();
            config.generation = number as u64 % 2;
            world.insert(*id, Peer::new(config, Vec::new(), Speed::default(), world.now()));
        }
        let reborn = |info: &neuromesh_core::mesh::PeerInfo| {
            !ids[..6].contains(&info.id) || (info.agent == "second life" && info.tier == Tier::Cloud)
        };
        all_know(&mut world, &ids, secs(60), reborn).expect("all know the second lives");
    });
}

#[test]
fn a_crashed_node_is_forgotten_by_all() {
    let (mut world, ids) = crowd(40, 24, lossy());
    all_know(&mut world, &ids, secs(30), |_| true).expect("all know all");
    world.crash(&ids[0]);
    world.run_for(secs(30));
    for who in &ids[1..] {
        assert!(world.machine(who).mesh.peer(&ids[0]).is_none(), "still known to {who}");
    }
}

#[test]
fn equal_seeds_replay_byte_for_byte() {
    let run = |seed| {
        let (mut world, ids) = crowd(seed, 12, lossy());
        world.run_for(secs(5));
        world.crash(&ids[3]);
        world.run_for(secs(3));
        let revived = config(3, Tier::Edge, seed);
        world.insert(ids[3], Peer::new(revived, vec![model("m", true)], Speed::default(), NO_TIME));
        world.with(&ids[0], |peer, now| {
            peer.run(now, 1, crate::world::text("m", Default::default()));
        });
        world.run_for(secs(5));
        world.trace()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_heartbeat_is_no_news() {
    let (mut world, ids) = crowd(50, 2, Conditions::default());
    all_know(&mut world, &ids, secs(5), |_| true).expect("both know each other");
    world.run_for(secs(1));
    let (trace, news) = (world.trace(), world.machine(&ids[0]).events.len());
    world.run_for(secs(120));
    assert_ne!(world.trace(), trace, "they do speak");
    assert_eq!(world.machine(&ids[0]).events.len(), news, "but a heartbeat is no news");
}
