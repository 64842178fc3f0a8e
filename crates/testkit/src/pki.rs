use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority of the test's own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate in PEM.
    pub certificate_pem: String,
}

/// A certificate and its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl Authority {
    /// A new one with this common name.
    ///
    /// # Panics
    /// When the machine gives no random bytes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate_pem = params.self_signed(&key).expect("the parameters are sound").pem();
        Self { issuer: Issuer::new(params, key), certificate_pem }
    }

    /// A certificate for a server called `localhost`, or for a client.
    ///
    /// # Panics
    /// When the machine gives no random bytes.
    #[must_use]
    pub fn issue(&self, common_name: &str) -> Identity {
        self.issue_for(common_name, &[])
    }

    /// The same for a server that has more names or addresses.
    ///
    /// # Panics
    /// As [`Self::issue`].
    #[must_use]
    pub fn issue_for(&self, common_name: &str, names: &[String]) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let names = [&["localhost".to_owned(), "127.0.0.1".to_owned()], names].concat();
        let mut params = CertificateParams::new(names).expect("the names are sound");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are sound");
        Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}
