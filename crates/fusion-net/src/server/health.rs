//! What the standard health service says.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::proto::fusion_server::SERVICE_NAME;

/// From now on nobody is to send this server new work: neither those who ask for our service nor
/// those who ask for the whole server.
pub(super) async fn not_serving(health: &HealthReporter) {
    for service in ["", SERVICE_NAME] {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
}
