//! Accounts: signing up, in and out, organisations, members and API keys.

use mainstay_domain::{ApiKeyScope, Role, Secret};
use serde::Serialize;
use uuid::Uuid;

use crate::assistant::Listing;
use crate::call::Call;
use crate::client::Client;
use crate::credentials::Credentials;
use crate::error::{Error, Problem};
use crate::model::{ApiKey, Me, Member, NewApiKey, NewOrganisation, Page, SignedIn};

#[derive(Serialize)]
struct SignUp<'a> {
    email: &'a str,
    password: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct SignIn<'a> {
    email: &'a str,
    password: &'a str,
}

#[derive(Serialize)]
struct Switch {
    organisation_id: Uuid,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct AddMember<'a> {
    email: &'a str,
    role: Role,
}

#[derive(Serialize)]
struct ChangeMember {
    role: Role,
}

#[derive(Serialize)]
struct CreateApiKey<'a> {
    name: &'a str,
    scopes: &'a [ApiKeyScope],
}

impl Client {
    /// Signs up, and gives a client that speaks for the new person.
    ///
    /// # Errors
    /// As every call; `email_taken` when the address is known.
    pub async fn sign_up(&self, email: &str, password: &Secret, name: &str) -> Result<(Self, SignedIn), Error> {
        let body = SignUp { email, password: password.expose(), name };
        let signed_in = self.json(&Call::post("/v1/auth/sign-up").anonymous().json(&body)?).await?;
        Ok(self.in_the_name_of(signed_in))
    }

    /// Signs in, and gives a client that speaks for the person and keeps the sign-in going.
    ///
    /// # Errors
    /// As every call; `invalid_credentials` when the address or the password is wrong.
    pub async fn sign_in(&self, email: &str, password: &Secret) -> Result<(Self, SignedIn), Error> {
        let body = SignIn { email, password: password.expose() };
        let signed_in = self.json(&Call::post("/v1/auth/sign-in").anonymous().json(&body)?).await?;
        Ok(self.in_the_name_of(signed_in))
    }

    fn in_the_name_of(&self, signed_in: SignedIn) -> (Self, SignedIn) {
        (self.with_session(signed_in.tokens(None)), signed_in)
    }

    /// Renews the pair of tokens now. It happens by itself when it is due.
    ///
    /// # Errors
    /// As every call; [`Error::SignedOut`] when the sign-in has ended; [`Error::Setting`] when there is none.
    pub async fn refresh(&self) -> Result<(), Error> {
        let Credentials::Session(session) = &self.credentials else {
            return Err(Error::Setting("this client speaks for no sign-in".to_owned()));
        };
        let generation = session.authorise(self).await?.generation;
        session.renew(self, generation).await
    }

    /// Signs out: all tokens of the sign-in end, and this client and its clones are of no use any more.
    ///
    /// # Errors
    /// As every call.
    pub async fn sign_out(&self) -> Result<(), Error> {
        self.done(&Call::post("/v1/auth/sign-out").repeatable()).await?;
        if let Credentials::Session(session) = &self.credentials {
            let problem = br#"{"code":"signed_out","detail":"This client has signed out."}"#;
            session.end(Error::SignedOut(Box::new(Problem::read(401, None, problem))));
        }
        Ok(())
    }

    /// Moves the sign-in to another organisation of the person. This client and its clones then speak in that one.
    ///
    /// # Errors
    /// As every call; `not_found` when the person is no member of it.
    pub async fn switch(&self, organisation: Uuid) -> Result<SignedIn, Error> {
        let call = Call::post("/v1/auth/switch").json(&Switch { organisation_id: organisation })?;
        let signed_in: SignedIn = self.json(&call).await?;
        if let Credentials::Session(session) = &self.credentials {
            session.replace(signed_in.tokens(Some(&session.tokens().refresh_token)));
        }
        Ok(signed_in)
    }

    /// Who this client speaks for.
    ///
    /// # Errors
    /// As every call.
    pub async fn me(&self) -> Result<Me, Error> {
        self.json(&Call::get("/v1/me")).await
    }

    /// Makes a further organisation, owned by the person. [`Client::switch`] leads into it.
    ///
    /// # Errors
    /// As every call.
    pub async fn create_organisation(&self, name: &str) -> Result<NewOrganisation, Error> {
        self.json(&Call::post("/v1/organisations").keyed(self.new_key()).json(&Named { name })?).await
    }

    /// The members of the organisation.
    ///
    /// # Errors
    /// As every call.
    pub async fn members(&self, page: &Listing) -> Result<Page<Member>, Error> {
        self.json(&page.of("/v1/members")).await
    }

    /// Adds somebody who has an account.
    ///
    /// # Errors
    /// As every call; `not_found` when nobody has this address.
    pub async fn add_member(&self, email: &str, role: Role) -> Result<Member, Error> {
        self.json(&Call::post("/v1/members").json(&AddMember { email, role })?).await
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// As every call.
    pub async fn change_member(&self, person: Uuid, role: Role) -> Result<(), Error> {
        self.done(&Call::patch(format!("/v1/members/{person}")).json(&ChangeMember { role })?).await
    }

    /// Removes a member.
    ///
    /// # Errors
    /// As every call.
    pub async fn remove_member(&self, person: Uuid) -> Result<(), Error> {
        self.done(&Call::delete(format!("/v1/members/{person}"))).await
    }

    /// The API keys of the organisation, the oldest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn api_keys(&self, page: &Listing) -> Result<Page<ApiKey>, Error> {
        self.json(&page.of("/v1/api-keys")).await
    }

    /// Makes an API key that acts in the person's name.
    ///
    /// # Errors
    /// As every call.
    pub async fn create_api_key(&self, name: &str, scopes: &[ApiKeyScope]) -> Result<NewApiKey, Error> {
        let call = Call::post("/v1/api-keys").keyed(self.new_key()).json(&CreateApiKey { name, scopes })?;
        self.json(&call).await
    }

    /// An API key's data.
    ///
    /// # Errors
    /// As every call.
    pub async fn api_key(&self, id: Uuid) -> Result<ApiKey, Error> {
        self.json(&Call::get(format!("/v1/api-keys/{id}"))).await
    }

    /// Revokes an API key.
    ///
    /// # Errors
    /// As every call.
    pub async fn revoke_api_key(&self, id: Uuid) -> Result<(), Error> {
        self.done(&Call::delete(format!("/v1/api-keys/{id}"))).await
    }
}
