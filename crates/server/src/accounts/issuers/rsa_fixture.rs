//! A public RSA key of 2048 bits and what its private half, which is gone, signed once: ring cannot make RSA keys, and a
//! test needs none to verify.

/// What was signed: `{"alg":"RS256","kid":"rsa","typ":"JWT"}`, with each of the three algorithms, and these claims. They
/// end in the year 2100.
pub(crate) const CLAIMS: &str =
    r#"{"iss":"https://issuer.test/","aud":"mainstay","sub":"rsa person","iat":1700000000,"exp":4102444800}"#;
/// The modulus, in hexadecimal. The exponent is 65537.
pub(crate) const MODULUS: &str = concat!(
    "8e44f0498e6878aec59b681a90467053b1d5c80bd8c0e06eed3e508b70543fdffcecc512f215ce1163d2566daac2549043ce57ea149b253e",
    "00d9e14279bb90779733b4c0afa4474b55891aa309e1cca4acaad8006291c9350ca21b9543e6b523cb0ba80970ffd1328d38260b1381e297",
    "73db17912562e8f31288b041676a281ead087ba21b738f1c4900d0392c59987ab538258e9c367f1e2ffd4ae4e4b581c521ba5772dedffc92",
    "b84d890a90aa205abe296e83838b8a1bd0c91bbae3704e8aea8fe48949fb96ba230552982ab1f57b7a69c05eefbf796bc3b73b41d3e406ba",
    "55c4c88c135870fb9c8d0c2004ef247c3d7d83fb5a1db7f81664b96f08cd346f",
);
/// The signature by RS256.
pub(crate) const RS256: &str = concat!(
    "74d83fbb365b58a9a5fda54ec1f2ab5a96c2555cb6911a118957707758da7c64cafb4fd651d01726ed187359b66c98b04faf0b05f75782c0",
    "630ec8870d841a9ec2513670b72dda7c86f5dd91494f5a3a64f03c44ab556b589d0a4130a4a7a942ffe27549473d5eda5a7dc90c704bc244",
    "6ab9b14f82140543f7abb0a90d3078526066c9fe07488e9c9288e13def064504f2c8412399fb0d819aab0afed13ee10e3a99abb61cafd902",
    "80b137e14b232569182dc4c343a95aed29245e5eb29f5ab8a837e96af267235eada2df75dbf87e3c700dc15ea4a88a409b42ceeed638d6c5",
    "80eec1cdd7d23b2ab3cd3883cd4f916505ad6bfbe23852019aa93a5fbb288fe4",
);
/// The signature by RS384.
pub(crate) const RS384: &str = concat!(
    "211e133cf50086133cb62ca674e4b1a566a7f43f560baa0b1fdd57c5118eac121757f74cae493d8fcda48ffbb5bc08a8215c67b5b78b68e1",
    "33a460d28be879c3a97ff5085f46abdd8b160847af3356d35dace01fb729c12b210619d36ef9e8511ef826ab0ff4c3444c905f318c4b818e",
    "dfc3bcf1fac2bb556f4a822409c58346804a8fdb1d7283157794351648701768a65b17576d1de17128487fca366fdac0ef74f5cb5bc84a4c",
    "3c5ae6849c186d0d1f7b5e390cf5c0c71ffc3f65e5b01f711082f4951da0868543e5260cf361063a4e331968f65a6d93bad11cfa17430dbe",
    "12ba8816df57a22eebe6a3bd5f0e71ffcdcbd1d9f27f7d4359fdc8ab58bd25cc",
);
/// The signature by RS512.
pub(crate) const RS512: &str = concat!(
    "0b274de7b17bb5e2981c70a90c58185df382359228eb767e43c55a1f3c63227e3661696715cbe65d2527fc364e9483ae0bca04d2b7be9ba8",
    "b6321e380054c0336c1a778c9d99ad0a99212eb079e98f0db50f59c1aede53dd23efbfe07f0e60d459f5f16d17b884213a555a7262230cbf",
    "854f48f962e67e897b2e82f3dd07c92b60851412ea0fe958325ab41616c9542ff14d9d9003bbdc2b951285c7f438f7bcb2c7f45c4c83da2a",
    "ab9d5e17dca7c9397c840053a827367f0b2c200bca1ca800a03c21c1be68bd351290f594df6dbae311aec5799b650fe3a5e40ac0dbbb65e4",
    "5f2d77f52539873f304326e06044133f647f90fd0c3e0df551e8cd92f68194f5",
);

pub(crate) fn bytes(hexadecimal: &str) -> Vec<u8> {
    (0..hexadecimal.len() / 2).map(|at| u8::from_str_radix(&hexadecimal[2 * at..2 * at + 2], 16).unwrap()).collect()
}
