internal import FoundationEssentials
package import WeirImage
package import WeirModel

/// Policies and what they are compiled with, kept so that a later run can say what they mean for the pods of its day.
package struct KeptPolicy: Hashable, Sendable, Codable {
    /// Of another weir, or damaged.
    package struct FormatError: Error, Hashable, Sendable, CustomStringConvertible {
        package let description = "its policies were kept by another version of weir"
    }

    /// 1: first version. Every change of a policy type that changes its coding is another one.
    private static let currentFormat = 1

    private var format = Self.currentFormat
    package var policies: PolicySet
    package var options: PolicyOptions

    package init(policies: PolicySet, options: PolicyOptions) {
        // How many documents were nobody's policy depends on which files were named, and means nothing later.
        self.policies = PolicySet(specs: policies.specs)
        self.options = options
    }

    package init(decoding bytes: [UInt8]) throws(FormatError) {
        guard let kept = try? JSONDecoder().decode(Self.self, from: Data(bytes)), kept.format == Self.currentFormat
        else {
            throw FormatError()
        }
        self = kept
    }

    package func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return Array(try encoder.encode(self))
    }

    /// The image of a node under an inventory.
    package func image(_ inventory: Inventory, node: String) -> Image {
        Compiler.compile(policies: policies, inventory: inventory, node: node, options: options)
    }
}
