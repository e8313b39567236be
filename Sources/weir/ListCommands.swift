import ArgumentParser
import WeirInspect
import WeirLoader

struct IdentityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "identity",
        abstract: "Look at the identities that a node knows: who peers are.",
        discussion: "Example: sudo weir identity list",
        subcommands: [ListCommand.self])

    struct ListCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List identities: number, labels, peer group, addresses and prefixes.",
            discussion: """
                Peers that no rule of the node tells apart share a group. Numbers are those of
                one image.

                Examples:
                  sudo weir identity list
                  weir identity list --policies Policies/shop --inventory Policies/shop --output wide
                """)

        @OptionGroup var inspection: InspectionOptions
        @OptionGroup var listing: ListingOptions

        func run() throws {
            let found = try inspection.look { try $0.source.identities() }
            try refusing { try listing.print(found) }
        }
    }
}

struct RuleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rule",
        abstract: "Look at the rules that decide on a node.",
        discussion: "Example: sudo weir rule list --unused",
        subcommands: [ListCommand.self])

    struct ListCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List rules with the packets and bytes that they decided.",
            discussion: """
                Packets are counted for sets of rules that decide together, so a packet counts
                for every rule of its set: do not add up the rules. SETS is how many sets have
                the rule. Counters begin at zero with each policy that takes a slot. Rules
                that can decide nothing on this node are in no set and not listed: weir lint
                finds those that decide nothing anywhere.

                Examples:
                  sudo weir rule list
                  sudo weir rule list --unused
                  weir rule list --policies Policies/shop --inventory Policies/shop
                """)

        @OptionGroup var inspection: InspectionOptions
        @OptionGroup var listing: ListingOptions
        @Flag(help: "Only rules that never decided a packet; needs a node.")
        var unused = Environment.flag("UNUSED")

        func validate() throws {
            guard try !unused || inspection.isLive() else {
                throw ValidationError("--unused asks for counters, which only a node has.")
            }
        }

        func run() throws {
            let found = try inspection.look { maps in
                if maps.live != nil, maps.source.image == nil {
                    throw Refusal(
                        "nothing says which rules there are: no policy is in force, or its image is lost",
                        hint: "weir doctor; weir apply writes the image again")
                }
                return maps.source.rules(counters: try maps.live?.ruleCounters(), unused: unused)
            }
            try refusing { try listing.print(found) }
        }
    }
}
