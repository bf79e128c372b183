//! Virtual users: the load that a server is measured with. It speaks to a server only through the client.
