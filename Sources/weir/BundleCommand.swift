import ArgumentParser
import WeirBundle
import WeirLoader

struct BundleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bundle",
        abstract: "Make the keys that sign bundles. weir compile makes bundles, weir inspect reads them.",
        discussion: "Example: weir bundle key release.key",
        subcommands: [KeyCommand.self])
}

extension BundleCommand {
    struct KeyCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "key",
            abstract: "Make a key pair: a private key that signs bundles, and FILE.pub, which nodes trust.",
            discussion: """
                Ed25519. The private key is a comment line and base64, of mode 0600, without a passphrase: keep it where
                bundles are made and nowhere else. The public key is written as signify and minisign write theirs. A
                key that is there is never replaced.

                Examples:
                  weir bundle key release.key
                  weir compile --policies Policies/shop --inventory Policies/shop --sign release.key \\
                    --output-file node-a.weir
                  sudo install -D -m 0644 release.key.pub /etc/weir/keys/release.pub
                """)

        enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

        @Argument(help: ArgumentHelp("The private key's file.", valueName: "file"))
        var path: String
        @Option(help: "Format: table or json.")
        var output = Environment.value("OUTPUT", default: Format.table)

        private struct Answer: Encodable {
            var key: String
            var privateKey: String
            var publicKey: String
        }

        func run() throws {
            try refusing {
                do {
                    let key = try SigningKeyFile.create(path)
                    let answer = Answer(
                        key: key.id.description, privateKey: path, publicKey: SigningKeyFile.publicPath(path))
                    try Terminal.output(
                        output == .json
                            ? try json(answer)
                            : table(["KEY", "PRIVATE", "PUBLIC"], [[answer.key, answer.privateKey, answer.publicKey]]))
                } catch let error as LoaderError { throw Refusal(error.description) }
            }
        }
    }
}
