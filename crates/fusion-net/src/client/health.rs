//! Whether a server takes lanes, by the standard health service.

use std::time::Duration;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Client, dial, within};
use crate::error::NetError;
use crate::proto::fusion_server::SERVICE_NAME;

/// A server that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// Whether the server takes lanes: `false` from the moment that it was told to stop.
    ///
    /// # Errors
    /// [`NetError::Unreachable`], [`NetError::Timeout`], errors of the transport.
    pub fn is_serving(&self) -> Result<bool, NetError> {
        let asking = async {
            let connection = dial(&self.endpoint, &self.settings).await?;
            let mut health = HealthClient::new(connection.channel.clone());
            let request = self.request(HealthCheckRequest { service: SERVICE_NAME.to_owned() });
            let reply = within(PATIENCE, health.check(request)).await?;
            Ok(reply.into_inner().status() == ServingStatus::Serving)
        };
        self.transport.block_on(asking)
    }
}
