package import WeirImage

/// What an apply is to put in force on this node.
package struct ApplyOrder {
    package var image: Image
    package var generation: UInt64
    /// Lets the slot that is not in force be changed alike, so that a rollback knows today's pods.
    package var policy: PolicySource?
    /// Kept for `restore`.
    package var bundle: RestorableBundle?
    /// Interfaces that let nothing pass, because the image does not know whose they are.
    package var denied: [DeniedInterface]
    /// Endpoints of this node that were left out because they have no interface, sorted.
    package var absent: [String]

    package init(
        image: Image, generation: UInt64 = 0, policy: PolicySource? = nil, bundle: RestorableBundle? = nil,
        denied: [DeniedInterface] = [], absent: [String] = []
    ) {
        self.image = image
        self.generation = generation
        self.policy = policy
        self.bundle = bundle
        self.denied = denied
        self.absent = absent
    }
}
