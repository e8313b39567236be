/// Labels that weir derives; an endpoint must not be able to give them to itself.
package func isDerivedLabel(_ key: String) -> Bool {
    key == WellKnownLabel.namespace || key.hasPrefix("io.cilium.k8s.")
}

/// `[prefix/]name` as Kubernetes has it: the prefix a DNS subdomain, the name up to 63 characters.
package func isLabelKey(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let name = parts.last, isLabelName(name) else { return false }
    return parts.count == 1 || isSubdomain(parts[0])
}

/// Empty, or as the name of a key.
package func isLabelValue(_ text: String) -> Bool { text.isEmpty || isLabelName(text[...]) }

/// Lower case DNS labels with dots between them, up to 253 characters in all.
private func isSubdomain(_ text: Substring) -> Bool {
    (1...253).contains(text.utf8.count)
        && text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { part in
            isAlphanumeric(part.first) && isAlphanumeric(part.last)
                && part.allSatisfy { (isAlphanumeric($0) || $0 == UInt8(ascii: "-")) && !isUppercase($0) }
        }
}

/// 1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends.
private func isLabelName(_ text: Substring) -> Bool {
    (1...63).contains(text.utf8.count) && isAlphanumeric(text.utf8.first) && isAlphanumeric(text.utf8.last)
        && text.utf8.allSatisfy {
            isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
}

private func isUppercase(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }

private func isAlphanumeric(_ byte: UInt8?) -> Bool {
    guard let byte else { return false }
    return isUppercase(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}
