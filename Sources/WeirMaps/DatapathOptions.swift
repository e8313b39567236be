internal import WeirABI

/// `enum weir_option`: what the datapath does besides judging; in the kernel fixed before the verifier sees the object.
package struct DatapathOptions: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }
    private init(_ option: weir_option) { rawValue = option.rawValue }

    package static let conntrack = DatapathOptions(WEIR_OPTION_CONNTRACK)
    package static let linkControl = DatapathOptions(WEIR_OPTION_LINK_CONTROL)
    package static let overlayGuard = DatapathOptions(WEIR_OPTION_OVERLAY_GUARD)
    /// Endpoints may ask for their address.
    package static let dhcp = DatapathOptions(WEIR_OPTION_DHCP)
    package static let defaults = DatapathOptions(WEIR_OPTION_DEFAULTS)
}
