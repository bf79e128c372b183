//! The typed client: what a program that talks to a Mainstay server needs, and no more.
