//! `listener` with `http`: a port for HTTP.

use std::sync::Arc;

use crate::app::http_port::HttpPort;
use crate::app::running::{Managed, Running};

impl Managed for HttpPort {
    fn stop(self: Arc<Self>, router: &Running) {
        Self::stop(&self);
        router.wait(async move { self.stopped().await });
    }
}
