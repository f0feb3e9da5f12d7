package dnstap

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns/outlet"
	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of fields and values in dnstap.proto (dnstap/dnstap.pb).
const (
	tapIdentity, tapVersion, tapExtra = 1, 2, 3
	tapMessage, tapType               = 14, 15
	tapIsMessage                      = 1

	msgType, msgFamily, msgProtocol = 1, 2, 3
	msgQueryAddr, msgResponseAddr   = 4, 5
	msgResponsePort                 = 7
	msgQuerySec, msgQueryNsec       = 8, 9
	msgQuery                        = 10
	msgResponseSec, msgResponseNsec = 12, 13
	msgResponse, msgPolicy          = 14, 15
	clientQuery, clientResponse     = 5, 6
	familyINET, familyINET6         = 1, 2
	policyType, policyRule          = 1, 2
	policyAction, policyMatch       = 3, 4
	policyValue                     = 5
	matchQNAME, matchClient         = 1, 2
	matchResponse                   = 3
	actionNXDOMAIN, actionNODATA    = 1, 2
	actionPass, actionDrop          = 3, 4
	actionTruncate, actionLocalData = 5, 6
	protoUDP, protoTCP, protoDOT    = 1, 2, 3
	protoDOH, protoDOQ              = 4, 7
	flagRD                          = 0x0100
)

// protocols are how a query came; of what was captured nothing is known.
var protocols = map[detect.Transport]uint64{
	detect.UDP: protoUDP, detect.TCP: protoTCP, detect.DoT: protoDOT, detect.DoH: protoDOH, detect.DoQ: protoDOQ,
}

// actions are what the client met, for verdicts that were enforced.
var actions = map[detect.Action]uint64{
	detect.NXDOMAIN: actionNXDOMAIN, detect.NODATA: actionNODATA, detect.ZeroIP: actionLocalData, detect.Sinkhole: actionLocalData,
	detect.Refuse: actionLocalData, detect.Drop: actionDrop, detect.Truncate: actionTruncate, detect.Pass: actionPass,
}

// writer writes messages. Its buffers are for one goroutine.
type writer struct {
	identity, version string
	message, policy   []byte // scratch
}

// append appends the Dnstap message of a row.
func (w *writer) append(dst []byte, r outlet.Row) ([]byte, error) {
	extra, err := extraOf(r)
	if err != nil {
		return dst, err
	}
	dst = appendText(dst, tapIdentity, w.identity)
	dst = appendText(dst, tapVersion, w.version)
	dst = appendBytes(dst, tapExtra, extra)
	w.message = w.appendMessage(w.message[:0], r.Transaction)
	dst = appendBytes(dst, tapMessage, w.message)
	return appendNumber(dst, tapType, tapIsMessage), nil
}

// appendMessage is a CLIENT_RESPONSE, which has the time of the query in it, or
// where there was no answer a CLIENT_QUERY.
func (w *writer) appendMessage(dst []byte, t *detect.Transaction) []byte {
	kind := uint64(clientQuery)
	if len(t.Response) > 0 {
		kind = clientResponse
	}
	dst = appendNumber(dst, msgType, kind)
	client := t.Query.Client.Unmap()
	var server netip.AddrPort
	if t.Source == detect.FromWire { // else it is who answered weir
		server, _ = netip.ParseAddrPort(t.Upstream)
	}
	if family := familyOf(client, server.Addr()); family != 0 {
		dst = appendNumber(dst, msgFamily, family)
	}
	if p := protocols[t.Query.Transport]; p != 0 {
		dst = appendNumber(dst, msgProtocol, p)
	}
	if client.IsValid() {
		dst = appendBytes(dst, msgQueryAddr, client.AsSlice())
	}
	if server.IsValid() {
		dst = appendBytes(dst, msgResponseAddr, server.Addr().Unmap().AsSlice())
		dst = appendNumber(dst, msgResponsePort, uint64(server.Port()))
	}
	dst = appendTime(dst, msgQuerySec, msgQueryNsec, t.Query.Time)
	if kind == clientResponse {
		dst = appendTime(dst, msgResponseSec, msgResponseNsec, t.Query.Time.Add(t.Latency))
		dst = appendBytes(dst, msgResponse, t.Response)
	} else {
		dst = appendBytes(dst, msgQuery, queryOf(&t.Query))
	}
	if w.policy = appendPolicy(w.policy[:0], t); len(w.policy) > 0 {
		dst = appendBytes(dst, msgPolicy, w.policy)
	}
	return dst
}

// familyOf is that of whichever address is known.
func familyOf(addrs ...netip.Addr) uint64 {
	for _, a := range addrs {
		switch a = a.Unmap(); {
		case a.Is4():
			return familyINET
		case a.Is6():
			return familyINET6
		}
	}
	return 0
}

func appendTime(dst []byte, sec, nsec protowire.Number, at time.Time) []byte {
	dst = appendNumber(dst, sec, uint64(max(at.Unix(), 0)))
	dst = protowire.AppendTag(dst, nsec, protowire.Fixed32Type)
	return protowire.AppendFixed32(dst, uint32(at.Nanosecond()))
}

// queryOf is the query as far as weir keeps it: without its number, and with
// recursion desired, as clients have it.
func queryOf(q *detect.Query) []byte {
	msg := make([]byte, dnswire.HeaderLen, dnswire.HeaderLen+len(q.Name)+4)
	msg[2] = flagRD >> 8
	if len(q.Name) == 0 {
		return msg
	}
	msg[5] = 1 // one question
	msg = append(msg, q.Name...)
	return append(msg, byte(q.Type>>8), byte(q.Type), byte(q.Class>>8), byte(q.Class))
}

// appendPolicy appends what was against the name, or for it; nothing where
// nothing was.
func appendPolicy(dst []byte, t *detect.Transaction) []byte {
	v := &t.Verdict
	if v.Origin == detect.OriginNone || v.Origin == detect.OriginModel && !outlet.Detection(t) {
		return dst // a score that nothing follows from is no policy
	}
	kind, rule, match := v.Origin.String(), "", uint64(matchQNAME)
	switch v.Origin {
	case detect.OriginBlockList, detect.OriginAllowList, detect.OriginBehaviour:
		if m := decider(v); m != nil {
			kind, rule, match = kind+":"+m.List, m.Rule, matchOf(m.Kind)
		}
	case detect.OriginModel:
		rule = "level:" + v.Level.String()
	case detect.OriginLookalike:
		if v.Lookalike.Grade != lookalike.GradeNone {
			rule = v.Lookalike.Kind.String() + ":" + v.Lookalike.Brand
		}
	case detect.OriginRebinding:
		match = matchResponse
	}
	action := uint64(actionPass)
	if v.Enforced {
		action = actions[v.Action]
	}
	dst = appendText(dst, policyType, kind)
	dst = appendText(dst, policyRule, rule)
	dst = appendNumber(dst, policyAction, action)
	dst = appendNumber(dst, policyMatch, match)
	switch match {
	case matchQNAME:
		dst = appendBytes(dst, policyValue, t.Query.Name)
	case matchClient:
		dst = appendBytes(dst, policyValue, t.Query.Client.Unmap().AsSlice()) // as much of it as is kept
	}
	return dst
}

// decider is the match that the verdict is from.
func decider(v *detect.Verdict) *detect.Match {
	if v.Origin == detect.OriginAllowList {
		for i := range v.Matches {
			if v.Matches[i].Effect == detect.EffectPass {
				return &v.Matches[i]
			}
		}
		return nil
	}
	if v.Decider < 0 || v.Decider >= len(v.Matches) {
		return nil
	}
	return &v.Matches[v.Decider]
}

// matchOf is dnstap's word; a name on the way of a CNAME is one that was asked for
// on the client's behalf.
func matchOf(k detect.MatchKind) uint64 {
	switch k {
	case detect.MatchClient:
		return matchClient
	case detect.MatchAddress:
		return matchResponse
	}
	return matchQNAME
}

// extraOf is what dnstap has no field for.
func extraOf(r outlet.Row) ([]byte, error) {
	v := &r.Verdict
	extra := struct {
		ID       string   `json:"weir_id"`
		Origin   string   `json:"origin"`
		Action   string   `json:"action"` // what policy wanted; Policy has what was done
		Enforced bool     `json:"enforced"`
		Level    string   `json:"level"`
		Score    *float64 `json:"score"` // null: it has none
	}{r.ID.String(), v.Origin.String(), v.Action.String(), v.Enforced, v.Level.String(), nil}
	if v.Unscored == detect.Scored && v.Score >= 0 && v.Score <= 1 { // JSON has no NaN
		extra.Score = &v.Score
	}
	return json.Marshal(extra)
}

func appendNumber(dst []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
}

func appendBytes(dst []byte, n protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return dst
	}
	return protowire.AppendBytes(protowire.AppendTag(dst, n, protowire.BytesType), v)
}

func appendText(dst []byte, n protowire.Number, v string) []byte {
	if v == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, n, protowire.BytesType), v)
}
