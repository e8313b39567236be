package import WeirJSON
package import WeirModel

/// What the plugins before weir in the chain have made (CNI specification, section 5, "ADD Success").
package struct PreviousResult: Hashable, Sendable {
    private let object: JSONValue
    private let version: SpecificationVersion

    /// - Parameter version: the configuration's; what it hands on must be in a format that this version has.
    package init(_ object: JSONValue, version: SpecificationVersion) throws(CNIError) {
        guard object.members != nil else { throw Self.invalid("is no object") }
        if let value = object["cniVersion"] {
            // 1.1.0 added fields to 1.0.0 and changed none; before that addresses looked otherwise.
            guard let written = value.string.flatMap(SpecificationVersion.init),
                (written < .v1_0_0) == (version < .v1_0_0)
            else {
                throw CNIError(
                    .incompatibleVersion,
                    "prevResult is of CNI version \(value), the configuration of \(version.rawValue)",
                    details: "every plugin of a chain must answer in the chain's version")
            }
        }
        self.object = object
        self.version = version
    }

    private static func invalid(_ what: String) -> CNIError {
        CNIError(
            .invalidConfiguration, "prevResult \(what)",
            details: "the plugin before weir in the chain made it, not weir")
    }

    /// weir's own result: what it was given, every key, in the configuration's version (section 2, "ADD").
    package var answer: JSONValue {
        let others = (object.members ?? []).filter { $0.name != "cniVersion" }
        return .object([JSONValue.Member("cniVersion", .string(version.rawValue))] + others)
    }

    /// The container's addresses at an interface, sorted: at least one, at most one of each family. An address that says no
    /// interface is the container's.
    package func addresses(of interface: String) throws(CNIError) -> [IPAddress] {
        let own = try indices(of: interface)
        var addresses: [IPAddress] = []
        for entry in try list("ips") {
            if let index = entry["interface"] {
                guard let number = index.integer, try list("interfaces").indices.contains(number) else {
                    throw Self.invalid("has an address at interface \(index), which is not in its interfaces")
                }
                guard own.contains(number) else { continue }
            }
            addresses.append(try address(entry))
        }
        addresses.sort()
        guard !addresses.isEmpty else {
            throw CNIError(
                .unusableAddresses, "prevResult gives \(interface) of the container no address",
                details: "weir tells pods by their addresses: put a plugin before it that gives one")
        }
        for (first, second) in zip(addresses, addresses.dropFirst()) where first.family == second.family {
            throw CNIError(
                .unusableAddresses, "prevResult gives \(interface) of the container both \(first) and \(second)",
                details: "weir knows one \(first.family.rawValue) address of a pod")
        }
        return addresses
    }

    /// Interfaces in a sandbox; one without is the host's.
    private func indices(of name: String) throws(CNIError) -> [Int] {
        try list("interfaces").enumerated().filter { _, entry in
            entry["name"]?.string == name && entry["sandbox"]?.string?.isEmpty == false
        }.map(\.offset)
    }

    private func address(_ entry: JSONValue) throws(CNIError) -> IPAddress {
        guard let text = entry["address"]?.string, let slash = text.firstIndex(of: "/"),
            let address = IPAddress(text[..<slash]), let length = UInt8(text[text.index(after: slash)...]),
            length <= address.family.bitWidth
        else { throw Self.invalid("has the address \(entry["address"] ?? .null), which is not ADDRESS/LENGTH") }
        // 0.4.0 says the family as well.
        if let family = entry["version"]?.string, family != (address.family == .ipv4 ? "4" : "6") {
            throw Self.invalid("has the address \(text) of version '\(family)'")
        }
        guard !address.isMulticast, !address.isBroadcast, !address.isLoopback, address.value != 0 else {
            throw CNIError(.unusableAddresses, "prevResult gives the container \(address), which is no pod's address")
        }
        return address
    }

    /// Empty where there is none.
    private func list(_ key: String) throws(CNIError) -> [JSONValue] {
        guard let value = object[key] else { return [] }
        guard let entries = value.array else { throw Self.invalid("has \(key) that are no list") }
        return entries
    }
}
