import ArgumentParser
import Foundation

/// `WEIR_*` variables stand in for options that are not given; a value that cannot be is an error either way.
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

    static func value<Value: ExpressibleByArgument>(_ name: String, default fallback: Value) -> Value {
        value(name) ?? fallback
    }

    static func value<Value: ExpressibleByArgument>(_ name: String) -> Value? {
        guard let text = optional(name) else { return nil }
        guard let value = Value(argument: text) else { refuse(name, text, Value.allValueStrings) }
        return value
    }

    /// `true` or `1`, `false` or `0`.
    static func flag(_ name: String) -> Bool {
        switch optional(name) {
        case nil, "false", "0": false
        case "true", "1": true
        case let text?: refuse(name, text, ["true", "false"])
        }
    }

    private static func refuse(_ name: String, _ text: String, _ allowed: [String]) -> Never {
        let hint = allowed.isEmpty ? "" : " (it may be \(allowed.map { "'\($0)'" }.joined(separator: ", ")))"
        Terminal.complain("weir: error: WEIR_\(name) has the invalid value '\(text)'\(hint)")
        exit(ExitCode.validationFailure.rawValue)
    }
}
