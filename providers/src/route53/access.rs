//! The credentials at AWS: keys from the table, a profile, or the SDK's own chain; a role assumed
//! on top; region and endpoint.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_route53::Client;
use aws_sdk_route53::config::retry::RetryConfig;
use aws_sdk_route53::config::timeout::TimeoutConfig;
use aws_sdk_route53::config::{AppName, Credentials, Region, SharedCredentialsProvider};
use secrecy::{ExposeSecret, SecretString};

use crate::provider::{ErrorKind, ProviderError};

/// Signatures of Route 53 name this region in AWS's public partition, wherever the caller is.
const REGION: &str = "us-east-1";
/// How AWS's logs call us.
const NAME: &str = "prevalidate";

/// A pair of long-lived keys.
#[derive(Debug, Clone)]
pub struct AccessKeys {
    /// The access key id.
    pub id: SecretString,
    /// The secret access key.
    pub secret: SecretString,
    /// Where they come from, for errors.
    pub origin: String,
}

/// How to get at credentials.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// These and nothing else.
    pub keys: Option<AccessKeys>,
    /// A profile of the AWS configuration files, with whatever source of credentials it names.
    pub profile: Option<String>,
    /// For signatures and the choice of the partition.
    pub region: Option<String>,
    /// A role to assume with those credentials.
    pub role_arn: Option<String>,
    /// The external id that the role's owner asks for.
    pub external_id: Option<String>,
    /// Instead of AWS's own endpoints, for Route 53 and for STS.
    pub endpoint: Option<String>,
}

impl Access {
    /// Which credentials these are, without any of them.
    pub(super) fn described(&self) -> String {
        let base = match (&self.keys, &self.profile) {
            (Some(keys), _) => format!("the access key of {}", keys.origin),
            (None, Some(profile)) => format!("the profile {profile:?}"),
            (None, None) => "the credentials that the AWS SDK finds".to_owned(),
        };
        match &self.role_arn {
            Some(role) => format!("the role {role}, assumed with {base}"),
            None => base,
        }
    }

    /// A client, which gets credentials when it needs them.
    pub(super) async fn connect(&self, timeout: Duration) -> Client {
        let config = self.load(timeout).await;
        // The SDK must not repeat calls: if the answer to a change is lost, this adapter reads
        // before it sends again.
        let config =
            aws_sdk_route53::config::Builder::from(&config).retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }

    async fn load(&self, timeout: Duration) -> SdkConfig {
        // The default chain would ask the instance's metadata service, too, and wait for it where
        // there is none.
        let profile_region = ProfileFileRegionProvider::builder();
        let profile_region = match &self.profile {
            Some(profile) => profile_region.profile_name(profile),
            None => profile_region,
        };
        let region = RegionProviderChain::first_try(self.region.clone().map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(profile_region.build())
            .or_else(Region::from_static(REGION))
            .region()
            .await;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(timeout / 2)
            .operation_attempt_timeout(timeout)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(region.clone())
            .timeout_config(timeouts);
        if let Ok(name) = AppName::new(NAME) {
            loader = loader.app_name(name);
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(keys) = &self.keys {
            let (id, secret) = (keys.id.expose_secret(), keys.secret.expose_secret());
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, NAME));
        } else if let Some(profile) = &self.profile {
            // Not the default chain: there, variables of the environment win over a profile.
            let config = ProviderConfig::without_region().with_region(region);
            let provider = ProfileFileCredentialsProvider::builder()
                .configure(&config)
                .profile_name(profile)
                .build();
            loader = loader.profile_name(profile).credentials_provider(provider);
        }
        let config = loader.load().await;
        let Some(role) = &self.role_arn else {
            return config;
        };
        let mut assumed = AssumeRoleProvider::builder(role)
            .session_name(NAME)
            .configure(&config);
        if let Some(external_id) = &self.external_id {
            assumed = assumed.external_id(external_id);
        }
        let assumed = SharedCredentialsProvider::new(assumed.build().await);
        config.into_builder().credentials_provider(assumed).build()
    }

    /// No credentials are to be had; names the settings that say where from.
    pub(super) fn without(&self, why: &str, passing: bool) -> ProviderError {
        let text = format!("no AWS credentials from {}: {why}", self.described());
        let hint = if self.role_arn.is_some() {
            "check `role_arn`, `external_id`, the trust policy of the role, and that these credentials may call sts:AssumeRole"
        } else if self.profile.is_some() {
            "check `profile` and the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name; after `aws sso login` has expired, log in again"
        } else {
            "set `access_key` and `secret_key`, or `profile`, or what the AWS SDK searches for (environment, shared files, web identity, container, instance)"
        };
        let kind = if passing {
            ErrorKind::Unavailable
        } else {
            ErrorKind::Denied
        };
        ProviderError::new(kind, text).with_hint(hint)
    }
}
