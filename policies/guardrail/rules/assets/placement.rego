# METADATA
# title: Where an asset may be
# description: Zones are named in guardrail.toml; an asset that names none may be anywhere that an order lets it go.
# schemas:
#   - input: schema.input
package guardrail.rules.assets.placement

import data.guardrail.lib.acts
import data.guardrail.lib.serving

# METADATA
# title: An asset brought out of its zones
# description: |
#   Whoever ordered it: where an asset may be is declared with it, and an order does not change that.
#   A target that is not known exactly is in no zone.
# custom:
#   id: placement.outside_zones
#   severity: high
#   maturity: experimental
#   stops: an order that is worded too widely taking a model to where it must never be
#   message: "`{op}` of `{asset}` to `{target}`, which is in none of its zones"
#   examples:
#     match:
#       - {op: copy, asset: "model:beta", asset_zones: [prod], target: /tmp/x, mandate: {effects: [copy], assets: ["model:beta"], targets: ["/**"]}}
#       - {op: copy, asset: "model:beta", asset_zones: [prod], target: /b/x, target_zones: [backup], mandate: {effects: [copy], assets: ["model:beta"], targets: ["zone:backup"]}}
#       - {op: rename, asset: "model:beta", asset_zones: [prod], target: /tmp/x}
#       - {op: net_send, asset: "model:beta", asset_zones: [prod]}
#     not_match:
#       - {op: copy, asset: "model:beta", asset_zones: [prod, backup], target: /b/x, target_zones: [backup], mandate: {effects: [copy], assets: ["model:beta"], targets: ["zone:backup"]}}
#       - {op: copy, asset: "model:beta", target: /tmp/x, mandate: {effects: [copy], assets: ["model:beta"], targets: ["/**"]}}
#       - {op: read, asset: "model:beta", asset_zones: [prod]}
hits contains {"id": "placement.outside_zones", "i": i, "asset": asset.id} if {
	some i, e in acts.placed
	asset := e.resource.properties.asset
	count(asset.zones) > 0
	data.guardrail.settings.ops[e.action.name] in data.guardrail.settings.placement.families
	not inside(e.properties.target, asset.zones)
	not serving.reads[i] == asset.id
}

inside(target, zones) if {
	some zone in target.properties.zones
	zone in zones
}
