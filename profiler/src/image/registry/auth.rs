//! Being let in: challenges answered with logins and tokens.

use serde_json::Value;
use ureq::Body;
use ureq::http::{Request, Response, header};

use super::challenge::Challenge;
use super::client::{WORDS_MAX, words};
use super::credentials::{Credentials, Secret};
use super::{Client, RegistryError};

impl Client {
    /// Answers a challenge: the next request carries what it asks for.
    pub(super) fn authenticate(&self, answer: Response<Body>) -> Result<(), RegistryError> {
        let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE).into_iter();
        let mut challenges = challenges.filter_map(|value| Challenge::parse(value.to_str().ok()?));
        let authorization = match challenges.next() {
            None => return Err(self.unauthorized(&words(answer))),
            Some(Challenge::Basic) => {
                match self.credentials.as_ref().and_then(Credentials::basic) {
                    Some(header) => header,
                    None => return Err(self.unauthorized(&words(answer))),
                }
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                format!("Bearer {}", self.token(&realm, service.as_deref(), scope.as_deref())?)
            }
        };
        if let Ok(mut slot) = self.authorization.lock() {
            *slot = Some(authorization);
        }
        Ok(())
    }

    /// Gets a token from the registry's token service. Source: "Token
    /// authentication specification" of the distribution project.
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        asked: Option<&str>,
    ) -> Result<String, RegistryError> {
        let plain = self.origin.starts_with("http://");
        if !realm.starts_with("https://") && !plain {
            return Err(self.unreachable(&format!("its token service {realm} is not encrypted")));
        }
        let scope = format!("repository:{}:{}", self.name.repository, self.access.scope());
        // The registry may ask for more than one would guess.
        let scope = match asked {
            Some(asked) if !asked.is_empty() && asked != scope => format!("{scope} {asked}"),
            _ => scope,
        };
        let mut fields = vec![("scope", scope.as_str()), ("client_id", "profiler")];
        fields.extend(service.map(|service| ("service", service)));
        let answer = match self.credentials.as_ref().map(|login| &login.secret) {
            Some(Secret::Identity(token)) => {
                fields.extend([("grant_type", "refresh_token"), ("refresh_token", token)]);
                let form = form(&fields);
                let request = Request::post(realm)
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.as_bytes());
                request.map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
            }
            _ => {
                let joint = if realm.contains('?') { '&' } else { '?' };
                let mut request = Request::get(format!("{realm}{joint}{}", form(&fields)));
                if let Some(basic) = self.credentials.as_ref().and_then(Credentials::basic) {
                    request = request.header(header::AUTHORIZATION, basic);
                }
                request
                    .body(())
                    .map_err(ureq::Error::from)
                    .and_then(|request| self.agent.run(request))
            }
        };
        let answer = answer.map_err(|error| {
            self.unreachable(&format!("its token service {realm} does not answer: {error}"))
        })?;
        match answer.status().as_u16() {
            200 => {}
            400 | 401 | 403 => return Err(self.unauthorized(&words(answer))),
            _ => return Err(self.refused(answer, "give a token")),
        }
        let bytes = answer.into_body().into_with_config().limit(WORDS_MAX).read_to_vec();
        let value: Option<Value> = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let token = value.as_ref().and_then(|value| {
            ["token", "access_token"].iter().find_map(|key| value.get(key)?.as_str())
        });
        token.map(str::to_owned).ok_or_else(|| {
            self.unreachable(&format!("its token service {realm} gave an answer without a token"))
        })
    }

    /// For an answer that asks for another login, or any.
    pub(super) fn unauthorized(&self, why: &str) -> RegistryError {
        let host = self.name.host.clone();
        let who = match &self.credentials {
            Some(login) => format!("{} (login from {})", login.user, login.place),
            None => "anonymous".to_owned(),
        };
        RegistryError::Unauthorized {
            host,
            who,
            what: self.access.words(),
            repository: self.name.repository.clone(),
            why: why.into(),
        }
    }
}

/// `key=value&…` with everything but letters, digits and `-._~` escaped.
fn form(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        let mut escaped = String::new();
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    escaped.push(byte.into());
                }
                _ => escaped.push_str(&format!("%{byte:02X}")),
            }
        }
        escaped
    };
    let fields: Vec<String> =
        fields.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
    fields.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_escaped() {
        assert_eq!(form(&[("scope", "a/b:c,d"), ("x", "é&")]), "scope=a%2Fb%3Ac%2Cd&x=%C3%A9%26");
    }
}
