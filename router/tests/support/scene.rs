//! A router under attack, with a service that a bystander uses.

use super::backend::Serve;
use super::{Backend, Kind, Lab, Router, Spec, client, ports};

/// A router with a port for clients, and a service.
pub struct Scene {
    pub router: Router,
    /// The port for clients.
    pub port: u16,
    /// The port of the service.
    pub service: u16,
    /// Resident bytes of the router before the attack.
    pub resident: u64,
    _hello: Backend,
}

impl Scene {
    /// Starts the router with the additions of `with`, and waits until the service answers.
    pub fn start(lab: &Lab, with: impl FnOnce(Spec) -> Spec) -> Self {
        let hello = Backend::start(Serve::Hello);
        let [port, service] = [ports::free(), ports::free()];
        let spec = Spec::new("north", Kind::Ours)
            .clients(port)
            .tcp_connector("hello", hello.port)
            .tcp_listener("hello", service);
        let router = with(spec).start(lab);
        router.await_port(port);
        client::await_hello(service);
        let resident = router.resident();
        Self { router, port, service, resident, _hello: hello }
    }

    /// Asserts that the router runs and the service answers.
    #[track_caller]
    pub fn assert_serves(&self) {
        assert!(self.router.is_running());
        assert_eq!(client::get(self.service).ok().as_deref(), Some(client::HELLO));
    }

    /// Asserts that the service answers, and that the router has never grown by `growth` bytes.
    #[track_caller]
    pub fn assert_unharmed(&self, growth: u64) {
        self.assert_serves();
        assert_bounded(&self.router, self.resident, growth);
    }
}

/// Asserts that a router has never grown by `limit` bytes beyond `resident`, and has caught no
/// panic.
#[track_caller]
pub fn assert_bounded(router: &Router, resident: u64, limit: u64) {
    let grown = router.peak_resident().saturating_sub(resident);
    println!("the router grew by {} MiB", grown >> 20);
    assert!(grown < limit, "the router grew by {} MiB", grown >> 20);
    let log = router.log();
    assert!(!log.contains("panicked at"), "a panic was caught:\n{log}");
}
