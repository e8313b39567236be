import ArgumentParser
import Foundation

/// `WEIR_*` variables stand in for options that are not given.
enum Environment {
    private static let variables = ProcessInfo.processInfo.environment

    static func optional(_ name: String) -> String? {
        guard let value = variables["WEIR_\(name)"], !value.isEmpty else { return nil }
        return value
    }

    static func string(_ name: String, default fallback: String) -> String { optional(name) ?? fallback }

    /// Several paths are separated by colons.
    static func list(_ name: String) -> [String] {
        optional(name)?.split(separator: ":").map(String.init) ?? []
    }

    /// A value that does not parse is left to the option's own check of its text.
    static func value<Value: ExpressibleByArgument>(_ name: String, default fallback: Value) -> Value {
        guard let text = optional(name) else { return fallback }
        guard let value = Value(argument: text) else {
            Terminal.complain("weir: error: WEIR_\(name) has the invalid value '\(text)'")
            Foundation.exit(64)
        }
        return value
    }
}
