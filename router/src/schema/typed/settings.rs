//! An entity of any type, read once into the type that code acts on.

use super::{
    AddressConfig, AutoLinkConfig, Connector, Listener, ListenerAddressConfig, LogConfig,
    PolicyEntity, RouterEntity, Site, SslProfile, TcpConnector, TcpListener, VhostEntity,
};
use crate::schema::{AttributeError, Entity, EntityKind};

/// Attributes of an entity as one of [`Settings`].
pub trait Typed: Sized {
    /// Returns these settings if they are of this type.
    fn of(settings: &Settings) -> Option<&Self>;
}

macro_rules! settings {
    ($($kind:ident($settings:ident)),+ $(,)?) => {
        /// The attributes of an entity, as code acts on them.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum Settings {
            $($kind(Box<$settings>),)+
            /// The router acts on no attribute of the entity.
            Unread(EntityKind),
        }

        impl Settings {
            /// Reads an entity, which must have its name.
            ///
            /// # Errors
            /// The attribute that is wrong.
            pub fn read(entity: &Entity) -> Result<Self, AttributeError> {
                Ok(match entity.kind() {
                    $(EntityKind::$kind => Self::$kind(Box::new(entity.try_into()?)),)+
                    kind => Self::Unread(kind),
                })
            }
        }

        $(impl Typed for $settings {
            fn of(settings: &Settings) -> Option<&Self> {
                match settings {
                    Settings::$kind(settings) => Some(settings),
                    _ => None,
                }
            }
        })+
    };
}

settings! {
    Log(LogConfig),
    Router(RouterEntity),
    Policy(PolicyEntity),
    SslProfile(SslProfile),
    ConfigAddress(AddressConfig),
    AutoLink(AutoLinkConfig),
    Site(Site),
    Vhost(VhostEntity),
    TcpConnector(TcpConnector),
    Listener(Listener),
    Connector(Connector),
    TcpListener(TcpListener),
    ListenerAddress(ListenerAddressConfig),
}
