//! The standard services beside ours: health for load balancers, reflection for people with a gRPC
//! tool.

use fusion_net::{Limits, ServerSecurity, Token};
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::*;

#[test]
fn a_load_balancer_learns_the_health_without_a_token() {
    let token = Some(Token::new("only-for-clients").unwrap());
    let server = serve_securely(ServerSecurity { token, ..Default::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{}", server.local_addr())).unwrap().connect().await.unwrap();
        let request = HealthCheckRequest { service: "fusion.v1.Fusion".into() };
        HealthClient::new(channel).check(request).await.unwrap().into_inner().status()
    });
    assert_eq!(status, ServingStatus::Serving);
}

#[test]
fn reflection_names_the_service() {
    let server = serve(Limits::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let names: Vec<String> = runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{}", server.local_addr())).unwrap().connect().await.unwrap();
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
        let mut client = ServerReflectionClient::new(channel);
        let mut replies = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
        let reply = replies.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = reply else { panic!("not a list: {reply:?}") };
        list.service.into_iter().map(|service| service.name).collect()
    });
    assert!(names.iter().any(|name| name == "fusion.v1.Fusion"), "{names:?}");
    assert!(names.iter().any(|name| name == "grpc.health.v1.Health"), "{names:?}");
}
