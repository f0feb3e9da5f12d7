package encode

import (
	"math"
	"strconv"
	"strings"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// appendRow appends fields as a line of CSV (RFC 4180, with a newline alone).
func appendRow(dst []byte, fields []string) []byte {
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		if !strings.ContainsAny(f, ",\"\r\n") && !strings.HasPrefix(f, " ") {
			dst = append(dst, f...)
			continue
		}
		dst = append(dst, '"')
		dst = append(dst, strings.NewReplacer(`"`, `""`, "\n", " ", "\r", " ").Replace(f)...)
		dst = append(dst, '"')
	}
	return append(dst, '\n')
}

const spotHeader = "frame_time,unix_tstamp,frame_len,ip_dst,dns_qry_name,dns_qry_class,dns_qry_type,dns_qry_rcode,ml_score,tld,query_rep,hh," +
	"dns_qry_class_name,dns_qry_type_name,dns_qry_rcode_name,network_context\n"

// appendSpot appends a row of Apache Spot's table dns_scores. Its score is low
// where ours is high; a name that has none of ours is at its harmless end.
func (v *view) appendSpot(dst []byte) []byte {
	score := 1.0
	if v.Verdict.Unscored == detect.Scored && v.Verdict.Score >= 0 && v.Verdict.Score <= 1 {
		score = 1 - v.Verdict.Score
	}
	rcode, rcodeName := "", ""
	if v.has {
		rcode, rcodeName = strconv.Itoa(int(v.Rcode)), dnswire.RcodeString(v.Rcode)
	}
	return appendRow(dst, []string{
		v.at.Format("Jan 02 2006 15:04:05.000000000 UTC"), strconv.FormatInt(v.at.Unix(), 10), strconv.Itoa(len(v.Response)), addrText(v.client),
		v.qname, "0x" + strconv.FormatUint(uint64(v.Query.Class)+1<<32, 16)[1:], strconv.Itoa(int(v.Query.Type)), rcode,
		strconv.FormatFloat(score, 'g', -1, 64), text(v.split.Registered), v.reputation(), strconv.Itoa(v.at.Hour()),
		dnswire.ClassString(v.Query.Class), dnswire.TypeString(v.Query.Type), rcodeName, v.clientName(),
	})
}

const csvHeader = "time,client,transport,qname,qtype,qclass,registered_domain,rcode,source,upstream,latency_us,answers,origin,action,enforced,score,level,lists,tld,hour,client_name,client_country,client_asn,answer_countries,answer_asns,reputations\n"

func (v *view) appendCSV(dst []byte) []byte {
	rcode, score := "", ""
	if v.has {
		rcode = dnswire.RcodeString(v.Rcode)
	}
	if v.Verdict.Unscored == detect.Scored && !math.IsNaN(v.Verdict.Score) && !math.IsInf(v.Verdict.Score, 0) {
		score = strconv.FormatFloat(v.Verdict.Score, 'g', -1, 64)
	}
	var answers, lists []string
	for _, r := range v.section(dnswire.Answer) {
		answers = append(answers, dnswire.TypeString(r.rtype)+" "+r.rdata)
	}
	for _, m := range v.Verdict.Matches {
		lists = append(lists, m.List)
	}
	clientCountry, clientASN := v.clientPlace()
	return appendRow(dst, []string{
		v.at.Format("2006-01-02T15:04:05.000000000Z"), addrText(v.client), v.Query.Transport.String(), v.qname,
		dnswire.TypeString(v.Query.Type), dnswire.ClassString(v.Query.Class), text(v.split.Registered), rcode, v.Source.String(), v.Upstream,
		strconv.FormatInt(v.Latency.Microseconds(), 10), strings.Join(answers, " | "), v.Verdict.Origin.String(), v.Verdict.Action.String(),
		strconv.FormatBool(v.Verdict.Enforced), score, v.Verdict.Level.String(), strings.Join(lists, " "),
		text(v.split.Suffix), strconv.Itoa(v.at.Hour()), v.clientName(), clientCountry, clientASN,
		strings.Join(countries(v.Context), " "), strings.Join(asns(v.Context), " "), strings.Join(reputations(v.Context), " "),
	})
}
