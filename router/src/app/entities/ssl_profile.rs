//! `sslProfile`: certificates and rules for TLS.

use std::collections::BTreeSet;
use std::sync::Arc;

use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::Error;

use crate::agent::Refusal;
use crate::app::http_port::HttpPort;
use crate::app::planning::Planning;
use crate::app::profile::ProfileInForce;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::log;
use crate::net::{AmqpListener, SiteLink};
use crate::node::{OUTDATED, Protocol};
use crate::schema::Entity;
use crate::schema::typed::SslProfile;

impl Plannable for SslProfile {
    fn plan(self: Box<Self>, planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        let profile = ProfileInForce::new(*self);
        match profile.profile() {
            Err(trouble) if planning.is_start() => return Err(trouble),
            Err(trouble) => log!(Agent, Warning, "{trouble}; nobody uses the profile yet"),
            Ok(_) => {}
        }
        planning.add_profile(profile.clone());
        Ok(Box::new(profile))
    }

    fn refusal(trouble: &Trouble) -> Option<Refusal> {
        match trouble {
            Trouble::Failed { .. } | Trouble::OutOfReach(_) => {
                Some(Refusal::bad(format!("Invalid sslProfile configuration: {trouble}")))
            }
            _ => None,
        }
    }
}

impl Planned for ProfileInForce {
    fn start(
        self: Box<Self>,
        _router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        if let Some(profile) = self.loaded() {
            profile.log_remarks();
        }
        Ok(Arc::new(*self))
    }
}

impl Managed for ProfileInForce {
    fn update(
        &self,
        router: &Running,
        entity: &mut Entity,
    ) -> Result<Option<Arc<dyn Managed>>, Trouble> {
        let config = SslProfile::try_from(&*entity)?;
        let in_use = router.user_of(entity.kind(), &config.name).is_some();
        let changed = Self::update(self, config, in_use)?;
        renew(router, &changed);
        Ok(Some(Arc::new(changed)))
    }

    /// The users of a profile keep what they have of it. A controller may delete it before them.
    fn release(&self, _entity: &Entity, user: &str) -> Result<(), Refusal> {
        log!(
            Agent,
            Warning,
            "sslProfile '{}' is deleted, and {user} goes on with its certificates as they are",
            self.config().name
        );
        Ok(())
    }
}

/// Acts on a change of a profile. Links between routers make their connections anew with a higher
/// ordinal. Connections whose certificates are older than the profile allows are closed.
fn renew(router: &Running, profile: &ProfileInForce) {
    let loaded = profile.loaded();
    let profile = profile.config();
    // Connections that open from here on see this. The loop below finds the others.
    loaded.iter().for_each(|loaded| loaded.outdate_before(profile.oldest_valid_ordinal));
    let (links, listeners) = (router.all_of::<SiteLink>(), router.all_of::<AmqpListener>());
    let links: Vec<_> = links
        .iter()
        .filter(|link| link.config().ssl_profile.as_ref() == Some(&profile.name))
        .collect();
    links.iter().for_each(|link| link.renew(&router.node, profile.ordinal));
    let http = router.all_of::<HttpPort>();
    // Connections of a port for HTTP have come by WebSocket.
    let listeners = listeners
        .iter()
        .map(|listener| listener.config())
        .chain(http.iter().map(|port| port.config()));
    let listeners =
        listeners.filter(|listener| listener.ssl_profile.as_ref() == Some(&profile.name));
    let of_listeners = listeners.map(|listener| (false, listener.name.as_str()));
    let users: BTreeSet<_> =
        links.iter().map(|link| (true, link.config().name.as_str())).chain(of_listeners).collect();
    for record in router.node.registry.connections() {
        let expired =
            record.tls.as_ref().is_some_and(|tls| tls.ordinal < profile.oldest_valid_ordinal);
        if expired
            && record.protocol() == Protocol::Amqp
            && users.contains(&(record.outgoing, &*record.entity))
        {
            log!(
                Server,
                Debug,
                "[C{}] closing: its certificates are older than sslProfile '{}' allows",
                record.id,
                profile.name
            );
            let error = Error::new(condition::CONNECTION_FORCED, OUTDATED);
            record.closer.close(Some(error));
        }
    }
}
