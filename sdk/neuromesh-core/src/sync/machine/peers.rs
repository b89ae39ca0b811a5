//! Connections.

use samod_core::{
    ConnectionId, DialerConfig, DialerId,
    actors::hub::{CommandResult, HubEvent},
};

use crate::{PeerId, Timestamp};

use super::{GENESIS_PEER, Output, Phase, Sync, Work, no_retries, url};
use crate::sync::guard::{self, Envelope};

/// A connected peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    connection: ConnectionId,
    dialer: Option<DialerId>,
}

impl Sync {
    pub(super) fn on_connected(&mut self, now: Timestamp, peer: PeerId, dialer: bool) {
        self.disconnect(now, peer);
        let name = peer.to_string();
        if name == self.own_name {
            return;
        }
        let Phase::Running { listener, .. } = &self.phase else { return };
        let listener = *listener;
        let (command, dialer) = if dialer {
            let config = DialerConfig { url: url(), backoff: no_retries() };
            let Some(CommandResult::AddDialer { dialer_id }) = self.command(now, HubEvent::add_dialer(config)) else {
                return;
            };
            (HubEvent::create_dialer_connection(dialer_id, Some(name.into())), Some(dialer_id))
        } else {
            (HubEvent::create_listener_connection(listener, Some(name.into())), None)
        };
        // The dialer's first message is among the results: the connection must have its peer before they are taken.
        let Some(mut results) = self.hub_event(now, command.event) else { return };
        if let Some(CommandResult::CreateConnection { connection_id }) =
            results.completed_commands.remove(&command.command_id)
        {
            self.connections.insert(u32::from(connection_id), peer);
            self.links.insert(peer, Link { connection: connection_id, dialer });
        }
        self.take_hub_results(results, None);
        self.run_all(now);
    }

    /// Forgets a peer's connection.
    pub(super) fn disconnect(&mut self, now: Timestamp, peer: PeerId) {
        let Some(link) = self.links.remove(&peer) else { return };
        self.connections.remove(&u32::from(link.connection));
        for document in self.documents.values_mut() {
            document.forget(peer);
        }
        self.sends.retain(|(to, _)| *to != peer);
        self.run(now, Work::ToHub(Box::new(HubEvent::connection_lost(link.connection)), None));
        if let Some(dialer) = link.dialer {
            self.run(now, Work::ToHub(Box::new(HubEvent::remove_dialer(dialer)), None));
        }
    }

    /// Forgets a peer's connection and asks for its end.
    pub(super) fn drop_peer(&mut self, now: Timestamp, peer: PeerId, reason: String) {
        tracing::info!(%peer, %reason, "sync connection closed");
        self.disconnect(now, peer);
        self.outputs.push_back(Output::Disconnect { peer, reason });
    }

    /// The hub closed a connection by itself.
    pub(super) fn on_hub_disconnected(&mut self, connection: u32, reason: String) {
        let Some(peer) = self.connections.remove(&connection) else { return };
        let link = self.links.remove(&peer);
        for document in self.documents.values_mut() {
            document.forget(peer);
        }
        if let Some(dialer) = link.and_then(|link| link.dialer) {
            self.work.push_back(Work::ToHub(Box::new(HubEvent::remove_dialer(dialer)), None));
        }
        tracing::info!(%peer, %reason, "sync connection closed");
        // What was said last tells the other end why.
        let (last, rest) = std::mem::take(&mut self.sends).into_iter().partition(|(to, _)| *to == peer);
        self.sends = rest;
        let last: Vec<(PeerId, Vec<u8>)> = last;
        self.outputs.extend(last.into_iter().map(|(peer, bytes)| Output::Send { peer, bytes }));
        self.outputs.push_back(Output::Disconnect { peer, reason });
    }

    pub(super) fn on_message(&mut self, now: Timestamp, peer: PeerId, bytes: Vec<u8>) {
        let Some(link) = self.links.get(&peer).copied() else { return };
        match guard::inspect(&bytes, &self.limits) {
            Ok(Envelope::Connection) => {}
            Ok(Envelope::Unused) => return,
            Ok(Envelope::Document { id, change_bytes, chunks }) => {
                if !self.by_id.contains_key(&id) {
                    if self.documents.len() >= self.limits.documents {
                        tracing::warn!(%peer, document = %id, "too many documents; one more is refused");
                        return;
                    }
                    self.command(now, HubEvent::search_for_doc(id.clone()));
                }
                let document = self.by_id.get(&id).and_then(|actor| self.documents.get_mut(actor));
                let document = document.expect("a search starts the document's actor");
                if document.is_loading() {
                    // Its changes can only be examined beside those that are stored.
                    if !document.queue(peer, bytes, &self.limits) {
                        self.drop_peer(now, peer, "too many messages for a document that is being loaded".into());
                    }
                    return;
                }
                if change_bytes > 0 && document.bytes() + change_bytes > self.limits.document_bytes / 2 * 3 {
                    tracing::warn!(%peer, document = %id, "document too large; changes refused");
                    return;
                }
                if let Err(refused) = document.check(&chunks) {
                    return self.drop_peer(now, peer, format!("bad message: {refused}"));
                }
            }
            Err(refused) => return self.drop_peer(now, peer, format!("bad message: {refused}")),
        }
        let bytes = guard::without_flags(bytes, &self.limits);
        self.receive(now, link.connection, bytes);
    }

    pub(super) fn receive(&mut self, now: Timestamp, connection: ConnectionId, bytes: Vec<u8>) {
        self.command(now, HubEvent::receive(connection, bytes));
    }

    /// Opens the connection within the machine by which documents get their beginning.
    pub(super) fn connect_genesis(&mut self, now: Timestamp) {
        let Phase::Running { listener, .. } = &self.phase else { return };
        let command = HubEvent::create_listener_connection(*listener, Some(GENESIS_PEER.into()));
        if let Some(CommandResult::CreateConnection { connection_id }) = self.command(now, command) {
            self.genesis = Some(connection_id);
            self.receive(now, connection_id, guard::join(GENESIS_PEER));
        }
    }

    /// Closes the connections for which too much waits for storage; they begin anew later.
    pub(super) fn bound_outboxes(&mut self, now: Timestamp) {
        let full = self.documents.values().filter(|document| document.outbox.bytes() > self.limits.waiting_bytes);
        let peers: std::collections::BTreeSet<_> = full.flat_map(|document| document.outbox.peers()).collect();
        for peer in peers {
            self.drop_peer(now, peer, "storage is too slow for this document".into());
        }
    }
}
