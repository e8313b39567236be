/// The stable ids of all findings. A new one needs a test that produces it and a `summary`; the guide to exit codes and
/// diagnostics is made from them, a group for each comment here.
package enum DiagnosticID: String, Sendable, CaseIterable, Codable {
    // Files and documents
    case fileUnreadable = "file-unreadable"
    case inputTooLarge = "input-too-large"
    case invalidUTF8 = "invalid-utf8"
    case syntax = "syntax"
    case nestingTooDeep = "nesting-too-deep"
    case aliasExpansion = "alias-expansion"
    case duplicateKey = "duplicate-key"
    case stdinTwice = "stdin-twice"

    // Shape of a document
    case notAnObject = "not-an-object"
    case missingField = "missing-field"
    case unknownField = "unknown-field"
    case wrongType = "wrong-type"
    case unknownKind = "unknown-kind"
    case unsupportedField = "unsupported-field"
    case emptyValue = "empty-value"

    // Values
    case invalidValue = "invalid-value"
    case invalidCIDR = "invalid-cidr"
    case invalidAddress = "invalid-address"
    case invalidPort = "invalid-port"
    case emptyPortRange = "empty-port-range"
    case invalidLabel = "invalid-label"
    case invalidSelector = "invalid-selector"
    case unknownEntity = "unknown-entity"
    case tooManyPorts = "too-many-ports"
    case tooManyItems = "too-many-items"

    // Rules
    case conflictingFields = "conflicting-fields"
    case emptyPolicy = "empty-policy"
    case exceptOutsideCIDR = "except-outside-cidr"
    case hostFirewallOff = "host-firewall-off"

    // Several objects together
    case duplicateName = "duplicate-name"
    case unknownGroup = "unknown-group"
    case equalPriority = "equal-priority"
    case duplicateAddress = "duplicate-address"
    case duplicateInterface = "duplicate-interface"
    case unknownNode = "unknown-node"
    case ambiguousNode = "ambiguous-node"
    case tooManyAddresses = "too-many-addresses"
    case serviceWithoutEndpoints = "service-without-endpoints"
    case invalidFlow = "invalid-flow"
    case emptyExpectation = "empty-expectation"
    case invalidBundle = "invalid-bundle"
    case serviceBackendsDisagree = "service-backends-disagree"

    // What compiles and is probably not meant: weir lint
    case unmatchedSubject = "unmatched-subject"
    case unmatchedSelector = "unmatched-selector"
    case unmatchedRule = "unmatched-rule"
    case emptyRule = "empty-rule"
    case unknownNamespace = "unknown-namespace"
    case unknownServiceAccount = "unknown-service-account"
    case unknownService = "unknown-service"
    case unknownPortName = "unknown-port-name"
    case namedPortDiffers = "named-port-differs"
    case absentEntity = "absent-entity"
    case clusterCIDR = "cluster-cidr"
    case icmpFamily = "icmp-family"
    case wideCIDR = "wide-cidr"
    case wideEntity = "wide-entity"
    case shadowedRule = "shadowed-rule"
    case redundantRule = "redundant-rule"
    case uncoveredEndpoint = "uncovered-endpoint"
    case serviceWithoutBackends = "service-without-backends"
    case capacity = "capacity"

    // Tunnels between nodes: weir wireguard
    case missingWireGuardKey = "missing-wireguard-key"
    case invalidWireGuardKey = "invalid-wireguard-key"
    case duplicateWireGuardKey = "duplicate-wireguard-key"
    case oneSidedPresharedKey = "one-sided-preshared-key"
    case invalidEndpoint = "invalid-endpoint"
    case missingEndpoint = "missing-endpoint"
    case unreachableFamily = "unreachable-family"
    case tunnelOverlap = "tunnel-overlap"
    case tunnelMTU = "tunnel-mtu"
}
