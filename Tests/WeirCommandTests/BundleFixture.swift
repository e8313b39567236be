import Foundation
import Testing

/// Policies, nodes with keys, and a signing key that is everybody's: what it signs has the same bytes every time.
enum BundleFixture {
    static let directory = "Tests/Fixtures/bundle"
    static let sources = [
        "--policies", "\(directory)/policy.yaml", "--inventory", "\(directory)/inventory.yaml",
    ]

    static func golden(_ name: String) throws -> String {
        try String(contentsOfFile: "\(Weir.package)/\(directory)/\(name)", encoding: .utf8)
    }

    /// The well-known private key; returns its path.
    static func key(in workspace: Workspace) throws -> String {
        let path = try workspace.write(
            "untrusted comment: of tests\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n", to: "test.key")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return path
    }

    /// A fresh pair: the private key's path, and a directory that trusts it.
    static func freshKey(
        _ name: String, in workspace: Workspace
    ) async throws -> (path: String, trusted: String) {
        let path = "\(workspace.path)/\(name).key"
        let outcome = try await Weir.run(["bundle", "key", path])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let text = try String(contentsOfFile: path + ".pub", encoding: .utf8)
        let file = try workspace.write(text, to: "\(name)-trusted/\(name).pub")
        return (path, URL(fileURLWithPath: file).deletingLastPathComponent().path)
    }

    @discardableResult
    static func compile(
        _ sources: [String], to path: String, _ arguments: String..., environment: [String: String] = [:]
    ) async throws -> [UInt8] {
        let outcome = try await Weir.run(
            ["compile"] + sources + ["--output-file", path] + arguments, environment: environment)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// With what follows the version of weir and of its image replaced.
    static func steady(_ text: String) -> String {
        var text = text
        for (pattern, replacement) in [
            (#"\b[0-9a-f]{64}\b"#, "HEX"), (#"weir [0-9.]+, ABI [0-9]+"#, "weir V, ABI N"),
            (#""weir" : "[0-9.]+""#, "\"weir\" : \"V\""), (#""abi" : [0-9]+"#, "\"abi\" : N"),
            (#""bytes" : [0-9]+"#, "\"bytes\" : N"),
            (#"(?m)^(image|policies|inventory|provenance|tunnel)( +)[0-9]+$"#, "$1$2N"),
            (#"(?m)^size( +)[0-9]+ bytes$"#, "size$1N bytes"),
        ] { text = text.replacingOccurrences(of: pattern, with: replacement, options: .regularExpression) }
        return text
    }
}
