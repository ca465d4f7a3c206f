"""The 49 messages of RFC 4475, Session Initiation Protocol (SIP) Torture Test Messages (May 2006).

Messages as in the RFC's sections 3.1 to 3.4, under its names; long runs are written as
repetitions, as the RFC's own `<repeat>` notation does. `answers` are the codes that the RFC lets an
element of our kind give: a server that takes emergency calls for any address, asks no questions
that it can do without, registers known phones only, and is never a proxy for strangers.
"""

from dataclasses import dataclass

SDP = """\
v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.3
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
"""
CALL = frozenset({100, 180, 200, 503})
"""The call is taken, or all lines are busy."""
NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Torture:
    """One message. `silent` says that it gets no answer, because it is one; `silent_tcp` that over
    TCP it is not whole, and waited for.
    """

    name: str
    section: str
    message: bytes
    answers: frozenset[int]
    silent: bool = False
    silent_tcp: bool = False


def _wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1", "surrogateescape")


def _say(
    name: str,
    section: str,
    text: str,
    *answers: int | frozenset[int],
    silent: bool = False,
    silent_tcp: bool = False,
) -> Torture:
    codes: set[int] = set()
    for answer in answers:
        codes |= answer if isinstance(answer, frozenset) else {answer}
    return Torture(name, section, _wire(text), frozenset(codes), silent, silent_tcp)


VALID = (
    _say(
        "wsinv",
        "3.1.1.1",
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\n"
        "TO :\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\n"
        'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\n'
        "  ;\n  tag = 98asjd8\nMaX-fOrWaRdS: 0068\nCall-ID: wsinv.ndaksdj@192.0.2.1\n"
        "Content-Length   : 150\ncseq: 0009\n  INVITE\n"
        "Via  : SIP  /   2.0\n /UDP\n    192.0.2.2;branch=390skdjuw\ns :\n"
        "NewFangledHeader:   newfangled value\n continued newfangled value\n"
        "UnknownHeaderWithUnusualValue: ;;,,;;,;\nContent-Type: application/sdp\n"
        "Route:\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\n"
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ikj8  ,\n"
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30239\n"
        'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\n'
        "      newvalue ;\n  secondparam ; q = 0.33\n\n" + SDP,
        481,  # it says that it belongs to a call, and none of ours has that name
    ),
    _say(
        "intmeth",
        "3.1.1.2",
        "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/"
        "crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\n"
        "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n"
        'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,'
        "/;;*@example.com>\n"
        "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\""
        '\xd1\x80\xd0\xb0\xd0\xb1\xd0\xbe\xd1\x82\xd0\xb0\xd1\x8e\xd1\x89\xd0\xb8\xd0\xb9"'
        ";tag=_token~1'+`*%!-.\n"
        "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\n"
        "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\nMax-Forwards: 255\n"
        "extensionHeader-!.%*+_`'~:\xef\xbb\xbf\xe5\xa4\xa7\xe5\x81\x9c\xe9\x9b\xbb\n"
        "Content-Length: 0\n\n",
        405,
        501,
    ),
    _say(
        "esc01",
        "3.1.1.3",
        "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0\nTo: sip:%75se%72@example.com\n"
        "From: <sip:I%20have%20spaces@example.net>;tag=938\nMax-Forwards: 87\n"
        "i: esc01.239409asdfakjkn23onasd0-3234\nCSeq: 234234 INVITE\n"
        "Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw\nC: application/sdp\n"
        "Contact:\n  <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>\n"
        "Content-Length: 150\n\n" + SDP,
        CALL,
    ),
    _say(
        "escnull",
        "3.1.1.4",
        "REGISTER sip:example.com SIP/2.0\nTo: sip:null-%00-null@example.com\n"
        "From: sip:null-%00-null@example.com;tag=839923423\nMax-Forwards: 70\n"
        "Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd\nCSeq: 14398234 REGISTER\n"
        "Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw\n"
        "Contact: <sip:%00@host5.example.com>\nContact: <sip:%00%00@host5.example.com>\nL:0\n\n",
        403,
        404,
    ),
    _say(
        "esc02",
        "3.1.1.5",
        "RE%47IST%45R sip:registrar.example.com SIP/2.0\n"
        'To: "%Z%45" <sip:resource@example.com>\n'
        'From: "%Z%45" <sip:resource@example.com>;tag=f232jadfj23\n'
        "Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf\n"
        "Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234\nCSeq: 29344 RE%47IST%45R\n"
        "Max-Forwards: 70\nContact: <sip:alias1@host1.example.com>\n"
        "C%6Fntact: <sip:alias2@host2.example.com>\nContact: <sip:alias3@host3.example.com>\n"
        "l: 0\n\n",
        405,
        501,
    ),
    _say(
        "lwsdisp",
        "3.1.1.6",
        "OPTIONS sip:user@example.com SIP/2.0\nTo: sip:user@example.com\n"
        "From: caller<sip:caller@example.com>;tag=323\nMax-Forwards: 70\n"
        "Call-ID: lwsdisp.1234abcd@funky.example.com\nCSeq: 60 OPTIONS\n"
        "Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw\nl: 0\n\n",
        200,
    ),
    _say(
        "longreq",
        "3.1.1.7",
        "INVITE sip:user@example.com SIP/2.0\n"
        'To: "I have a user name of ' + "extreme" * 10 + ' proportion"<sip:user@example.com:6000;'
        "unknownparam1=very"
        + "long" * 20
        + "value;longparam"
        + "name" * 25
        + "=shortvalue;very"
        + "long" * 25
        + "ParameterNameWithNoValue>\n"
        "F: sip:" + "amazinglylongcallername" * 5 + "@example.net;tag=12" + "982" * 50 + "424;"
        "unknownheaderparam"
        + "name" * 20
        + "=unknowheaderparam"
        + "value" * 15
        + ";unknownValueless"
        + "paramname" * 10
        + "\n"
        "Call-ID: longreq.one" + "really" * 20 + "longcallid\nCSeq: 3882340 INVITE\n"
        "Unknown-"
        + "Long" * 20
        + "-Name: unknown-"
        + "long" * 20
        + "-value; unknown-"
        + "long" * 20
        + "-parameter-name = unknown-"
        + "long" * 20
        + "-parameter-value\n"
        "Via: SIP/2.0/TCP sip33.example.com\nv: SIP/2.0/TCP sip32.example.com\n"
        "V: SIP/2.0/TCP sip31.example.com\n"
        + "".join(f"Via: SIP/2.0/TCP sip{n}.example.com\n" for n in range(30, 5, -1))
        + "v: SIP/2.0/TCP sip5.example.com\nV: SIP/2.0/TCP sip4.example.com\n"
        "via: SIP/2.0/TCP sip3.example.com\nVia: SIP/2.0/TCP sip2.example.com\n"
        "VIA: SIP/2.0/TCP sip1.example.com\n"
        "Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very"
        + "long"
        * 50
        + "branchvalue\nMax-Forwards: 70\n"
        "Contact: <sip:" + "amazinglylongcallername" * 5 + "@host5.example.net>\n"
        "Content-Type: application/sdp\nl: 150\n\n" + SDP,
        CALL,
    ),
    _say(
        "dblreq",
        "3.1.1.8",
        "REGISTER sip:example.com SIP/2.0\nTo: sip:j.user@example.com\n"
        "From: sip:j.user@example.com;tag=43251j3j324\nMax-Forwards: 8\n"
        "I: dblreq.0ha0isndaksdj99sdfafnl3lk233412\nContact: sip:j.user@host.example.com\n"
        "CSeq: 8 REGISTER\nVia: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492\n"
        "Content-Length: 0\n\n\n"
        "INVITE sip:joe@example.com SIP/2.0\nt: sip:joe@example.com\n"
        "From: sip:caller@example.net;tag=141334\nMax-Forwards: 8\n"
        "Call-ID: dblreq.0ha0isnda977644900765@192.0.2.15\nCSeq: 8 INVITE\n"
        "Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw380234\nContent-Type: application/sdp\n"
        "Content-Length: 150\n\n" + SDP,
        403,
        404,
    ),
    _say(
        "semiuri",
        "3.1.1.9",
        "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0\nTo: sip:j_user@example.com\n"
        "From: sip:caller@example.org;tag=33242\nMax-Forwards: 3\n"
        "Call-ID: semiuri.0ha0isndaksdj\nCSeq: 8 OPTIONS\nAccept: application/sdp, \n"
        "   application/pkcs7-mime,\n   multipart/mixed, multipart/signed,\n   message/sip, "
        "message/sipfrag\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw\nl: 0\n\n",
        200,
    ),
    _say(
        "transports",
        "3.1.1.10",
        "OPTIONS sip:user@example.com SIP/2.0\nTo: sip:user@example.com\n"
        "From: <sip:caller@example.com>;tag=323\nMax-Forwards: 70\n"
        "Call-ID: transports.kijh4akdnaqjkwendsasfdj\nAccept: application/sdp\nCSeq: 60 OPTIONS\n"
        "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw\n"
        "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf\n"
        "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj\n"
        "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en\n"
        "Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee\nl: 0\n\n",
        200,
    ),
    _say(
        "mpart01",
        "3.1.1.11",
        "MESSAGE sip:kumiko@example.org SIP/2.0\n"
        "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport\n"
        "Max-Forwards: 70\nRoute: <sip:127.0.0.1:5080>\n"
        "Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuL\n"
        "Contact: <sip:fluffy@127.0.0.1:5070>\nTo: <sip:kumiko@example.org>\n"
        "From: <sip:fluffy@example.com>;tag=2fb0dcc9\nCall-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5s\n"  # noqa: E501
        "CSeq: 1 MESSAGE\nContent-Transfer-Encoding: binary\n"
        "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\nDate: Sat, 15 Oct 2005 04:44:56 GMT\n"  # noqa: E501
        "User-Agent: SIPimp.org/0.2.5 (curses)\nContent-Length: 178\n\n"
        "--7a9cbec02ceef655\nContent-Type: text/plain\nContent-Transfer-Encoding: binary\n\nHello\n"
        "--7a9cbec02ceef655\nContent-Type: application/octet-stream\n\n\x00\x01\xfe\xff\n"
        "--7a9cbec02ceef655--",
        405,
        481,
    ),
    _say(
        "unreason",
        "3.1.1.12",
        "SIP/2.0 200 = 2**3 * 5**2 "
        "\xd0\xbd\xd0\xbe \xd1\x81\xd1\x82\xd0\xbe "
        "\xd0\xb4\xd0\xb5\xd0\xb2\xd1\x8f\xd0\xbd\xd0\xbe\xd1\x81\xd1\x82\xd0\xbe\n"
        "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n"
        "Call-ID: unreason.1234ksdfak3j2erwedfsASdf\nCSeq: 35 INVITE\n"
        "From: sip:user@example.com;tag=11141343\nTo: sip:user@example.edu;tag=2229\n"
        "Content-Length: 150\nContent-Type: application/sdp\n"
        "Contact: <sip:user@host198.example.com>\n\n" + SDP,
        silent=True,
    ),
    _say(
        "noreason",
        "3.1.1.13",
        "SIP/2.0 100 \nVia: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\n"
        "Call-ID: noreason.asndj203insdf99223ndf\nCSeq: 35 INVITE\n"
        "From: <sip:user@example.com>;tag=39ansfi3\nTo: <sip:user@example.edu>;tag=902jndnke3\n"
        "Content-Length: 0\nContact: <sip:user@host105.example.com>\n\n",
        silent=True,
    ),
)


def _invite(name: str, line: str, more: str = "", body: str = SDP) -> str:
    """The RFC's usual INVITE, with one thing wrong in it."""
    return (
        f"{line}\nTo: sip:user@example.com\nFrom: sip:caller@example.net;tag=39291\n"
        f"Max-Forwards: 23\nCall-ID: {name}.1@192.0.2.5\nCSeq: 1 INVITE\n"
        f"Via: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bK{name}\n"
        f"Contact: <sip:caller@host5.example.net>\n{more}"
        f"Content-Type: application/sdp\nContent-Length: {len(_wire(body))}\n\n{body}"
    )


USUAL = "INVITE sip:user@example.com SIP/2.0"
INVALID = (
    _say(
        "badinv01",
        "3.1.2.1",
        "INVITE sip:user@example.com SIP/2.0\nTo: sip:j.user@example.com\n"
        "From: sip:caller@example.net;tag=134161461246\nMax-Forwards: 7\n"
        "Call-ID: badinv01.0ha0isndaksdjasdf3234nas\nCSeq: 8 INVITE\n"
        "Via: SIP/2.0/UDP 192.0.2.15;;,;,,\n"
        'Contact: "Joe" <sip:joe@example.org>;;;;\nContent-Length: 152\n'
        "Content-Type: application/sdp\n\n" + SDP.replace("192.0.2.", "192.0.2.1"),
        400,
    ),
    _say(
        "clerr",
        "3.1.2.2",
        _invite("clerr", USUAL).replace("Content-Length: 150", "Content-Length: 9999"),
        400,
        silent_tcp=True,  # over TCP the rest may still come
    ),
    _say(
        "ncl",
        "3.1.2.3",
        _invite("ncl", USUAL).replace("gth: 150", "gth: -999"),
        400,
    ),
    _say(
        "scalar02",
        "3.1.2.4",
        "REGISTER sip:example.com SIP/2.0\n"
        "Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bK342sdfoi3\n"
        "To: <sip:user@example.com>\nFrom: <sip:user@example.com>;tag=239232jh3\n"
        "CSeq: 36893488147419103232 REGISTER\n"
        "Call-ID: scalar02.23o0pd9vanlq3wnrlnewofjas9ui32\nMax-Forwards: 300\n"
        "Expires: 1" + "0" * 100 + "\nContact: <sip:user@host129.example.com>\n"
        "  ;expires=280297596632815\nContent-Length: 0\n\n",
        400,
        483,
        403,
    ),
    _say(
        "scalarlg",
        "3.1.2.5",
        "SIP/2.0 503 Service Unavailable\n"
        "Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw;received=192.0.2.129\n"
        "To: <sip:user@example.com>\nFrom: <sip:other@example.net>;tag=2easdjfejw\n"
        "CSeq: 9292394834772304023312 OPTIONS\nCall-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r\n"  # noqa: E501
        'Retry-After: 949302838503028349304023988\nWarning: 1812 overture "In Progress"\n'
        "Content-Length: 0\n\n",
        silent=True,
    ),
    _say(
        "quotbal",
        "3.1.2.6",
        _invite("quotbal", USUAL).replace(
            "To: sip:user@example.com", 'To: "Mr. J. User <sip:j.user@example.com>'
        ),
        400,
    ),
    _say(
        "ltgtruri",
        "3.1.2.7",
        _invite("ltgtruri", "INVITE <sip:user@example.com> SIP/2.0"),
        400,
        416,
    ),
    _say(
        "lwsruri",
        "3.1.2.8",
        _invite("lwsruri", "INVITE sip:user@example.com; lr SIP/2.0"),
        400,
        505,
    ),
    _say(
        "lwsstart",
        "3.1.2.9",
        _invite("lwsstart", "INVITE  sip:user@example.com  SIP/2.0"),
        400,
        CALL,
    ),
    _say(
        "trws",
        "3.1.2.10",
        "OPTIONS sip:remote-target@example.com SIP/2.0  \n"
        "Via: SIP/2.0/TCP host1.examle.com;branch=z9hG4bK299342093\n"
        "To: <sip:remote-target@example.com>\nFrom: <sip:local-resource@example.com>;tag=329429089\n"  # noqa: E501
        "Call-ID: trws.oicu34958239neffasdhr2345r\nAccept: application/sdp\nCSeq: 238923 OPTIONS\n"
        "Max-Forwards: 70\nContent-Length: 0\n\n",
        400,
        200,
        505,
    ),
    _say(
        "escruri",
        "3.1.2.11",
        _invite("escruri", "INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"),
        400,
        CALL,
    ),
    _say(
        "baddate",
        "3.1.2.12",
        _invite("baddate", USUAL, "Date: Fri, 01 Jan 2010 16:00:00 EST\n"),
        400,
        CALL,
    ),
    _say(
        "regbadct",
        "3.1.2.13",
        "REGISTER sip:example.com SIP/2.0\nTo: sip:user@example.com\n"
        "From: sip:user@example.com;tag=998332\nMax-Forwards: 70\nCall-ID: regbadct.k345asrl3fdbv@"
        "10.0.0.1\nCSeq: 1 REGISTER\nVia: SIP/2.0/UDP 135.180.130.133:5060;branch=z9hG4bKkdjuw\n"
        "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\nl: 0\n\n",
        400,
        403,
        404,
    ),
    _say(
        "badaspec",
        "3.1.2.14",
        "OPTIONS sip:user@example.org SIP/2.0\n"
        "Via: SIP/2.0/UDP host4.example.com:5060;branch=z9hG4bKkdju43234\nMax-Forwards: 70\n"
        'From: "Bell, Alexander" <sip:a.g.bell@example.com>;tag=433423\n'
        'To: "Watson, Thomas" < sip:t.watson@example.org >\n'
        "Call-ID: badaspec.sdf0234n2nds0a099u23h3hnnw009cdkne3\nAccept: application/sdp\n"
        "CSeq: 3923239 OPTIONS\nl: 0\n\n",
        400,
        200,
    ),
    _say(
        "baddn",
        "3.1.2.15",
        "OPTIONS sip:t.watson@example.org SIP/2.0\n"
        "Via:     SIP/2.0/UDP c.example.com:5060;branch=z9hG4bKkdjuw\nMax-Forwards:      70\n"
        "From:    Bell, Alexander <sip:a.g.bell@example.com>;tag=43\n"
        "To:      Watson, Thomas <sip:t.watson@example.org>\n"
        "Call-ID: baddn.31415@c.example.com\nAccept: application/sdp\nCSeq:    3923239 OPTIONS\n"
        "l: 0\n\n",
        400,
        200,
    ),
    _say(
        "badvers",
        "3.1.2.16",
        "OPTIONS sip:t.watson@example.org SIP/7.0\n"
        "Via:     SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw\nMax-Forwards:     70\n"
        "From:    A. Bell <sip:a.g.bell@example.com>;tag=qweoiqpe\n"
        "To:      T. Watson <sip:t.watson@example.org>\n"
        "Call-ID: badvers.31417@c.example.com\nCSeq:    1 OPTIONS\nl: 0\n\n",
        505,
    ),
    _say(
        "mismatch01",
        "3.1.2.17",
        "OPTIONS sip:user@example.com SIP/2.0\nTo: sip:j.user@example.com\n"
        "From: sip:caller@example.net;tag=34525\nMax-Forwards: 6\n"
        "Call-ID: mismatch01.dj0234sxdfl3\nCSeq: 8 INVITE\n"
        "Via: SIP/2.0/UDP host.example.com;branch=z9hG4bKkdjuw\nl: 0\n\n",
        400,
        501,
    ),
    _say(
        "mismatch02",
        "3.1.2.18",
        "NEWMETHOD sip:user@example.com SIP/2.0\nTo: sip:j.user@example.com\n"
        "From: sip:caller@example.net;tag=34525\nMax-Forwards: 6\n"
        "Call-ID: mismatch02.dj0234sxdfl3\nCSeq: 8 INVITE\nContact: <sip:caller@host.example.net>\n"
        "Via: SIP/2.0/UDP host.example.net;branch=z9hG4bKkdjuw\nContent-Type: application/sdp\n"
        "l: 150\n\n" + SDP,
        400,
        501,
    ),
    _say(
        "bigcode",
        "3.1.2.19",
        "SIP/2.0 4294967301 better not break the receiver\n"
        "Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\n"
        "Call-ID: bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i\nCSeq: 353494 INVITE\n"
        "From: <sip:user@example.com>;tag=39ansfi3\nTo: <sip:user@example.edu>;tag=902jndnke3\n"
        "Content-Length: 0\nContact: <sip:user@host105.example.com>\n\n",
        silent=True,
    ),
)


def _request(method: str, name: str, more: str, uri: str = "sip:user@example.com") -> str:
    return (
        f"{method} {uri} SIP/2.0\nTo: sip:user@example.com\n"
        f"From: sip:caller@example.net;tag=242etr\nMax-Forwards: 6\nCall-ID: {name}.0ha0isndaksdj\n"
        f"CSeq: 8 {method}\nVia: SIP/2.0/UDP host1.example.com;branch=z9hG4bK{name}\n{more}"
    )


LAYERS = (
    _say(
        "badbranch",
        "3.2.1",
        "OPTIONS sip:user@example.com SIP/2.0\nTo: sip:user@example.com\n"
        "From: sip:caller@example.org;tag=33242\nMax-Forwards: 3\n"
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK\nAccept: application/sdp\n"
        "Call-ID: badbranch.sadonfo23i420jv0as0derf3j3n\nCSeq: 8 OPTIONS\nl: 0\n\n",
        200,
        400,
    ),
    _say(
        "insuf",
        "3.3.1",
        "INVITE sip:user@example.com SIP/2.0\nCSeq: 193942 INVITE\n"
        "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\nContent-Type: application/sdp\n"
        "l: 150\n\n" + SDP,
        400,
    ),
    _say(
        "unkscm",
        "3.3.2",
        _request(
            "OPTIONS",
            "unkscm",
            "Content-Length: 0\n\n",
            "nobodyKnowsThisScheme:totallyopaquecontent",
        ),
        416,
        400,
    ),
    _say(
        "novelsc",
        "3.3.3",
        _request("OPTIONS", "novelsc", "Content-Length: 0\n\n", "soap.beep://192.0.2.103:3002"),
        416,
        400,
    ),
    _say(
        "unksm2",
        "3.3.4",
        _request("REGISTER", "unksm2", "Contact: <name:John_Smith>\nl: 0\n\n")
        .replace("To: sip:user@example.com", "To: isbn:2983792873")
        .replace("From: sip:caller@example.net", "From: <http://www.example.com>"),
        400,
        403,
        404,
        416,
    ),
    _say(
        "bext01",
        "3.3.5",
        _request(
            "OPTIONS",
            "bext01",
            "Require: nothingSupportsThis, nothingSupportsThisEither\n"
            "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\n"
            "Content-Length: 0\n\n",
        ),
        420,
    ),
    _say(
        "invut",
        "3.3.6",
        _request(
            "INVITE",
            "invut",
            "Contact: <sip:caller@host1.example.com>\nContent-Type: application/unknownformat\n"
            'Content-Length: 42\n\n<audio>\n <pcmu port="443"/>\n</audio>\n  ',
        ),
        415,
        CALL,  # an emergency call is taken: we make the offer
    ),
    _say(
        "regaut01",
        "3.3.7",
        _request(
            "REGISTER",
            "regaut01",
            "Authorization: NoOneKnowsThisScheme opaque-data=here\nContent-Length:0\n\n",
        ),
        401,
        403,
    ),
    _say(
        "multi01",
        "3.3.8",
        "INVITE sip:user@company.com SIP/2.0\nContact: <sip:caller@host25.example.net>\n"
        "Via: SIP/2.0/UDP 192.0.2.25;branch=z9hG4bKkdjuw\nMax-Forwards: 70\nCSeq: 5 INVITE\n"
        "Call-ID: multi01.98asdh@192.0.2.1\nCSeq: 59 INVITE\nCall-ID: multi01.98asdh@192.0.2.2\n"
        "From: sip:caller@example.com;tag=3413415\nTo: sip:user@example.com\n"
        "To: sip:other@example.net\nFrom: sip:caller@example.net;tag=2923420123\n"
        "Content-Type: application/sdp\nl: 150\nContact: <sip:caller@host36.example.net>\n"
        "Max-Forwards: 5\n\n" + SDP,
        400,
    ),
    _say(
        "mcl01",
        "3.3.9",
        _request(
            "OPTIONS",
            "mcl01",
            "Content-Type: text/plain\nContent-Length: 13\n"
            "Content-Length: 5\n\nThere's no way to know how many octets are supposed to be"
            " here.\n",
        ),
        400,
    ),
    _say(
        "bcast",
        "3.3.10",
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\n"
        "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\n"
        "Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf\nCSeq: 35 INVITE\n"
        "From: sip:user@example.com;tag=11141343\nTo: sip:user@example.edu;tag=2229\n"
        "Content-Length: 150\nContent-Type: application/sdp\n"
        "Contact: <sip:user@host28.example.com>\n\n" + SDP,
        silent=True,
    ),
    _say(
        "zeromf",
        "3.3.11",
        _request("OPTIONS", "zeromf", "Content-Length: 0\n\n").replace(
            "Max-Forwards: 6", "Max-Forwards: 0"
        ),
        483,
        200,
    ),
    _say(
        "cparam01",
        "3.3.12",
        _request(
            "REGISTER",
            "cparam01",
            "Contact: sip:+19725552222@gw1.example.net;unknownparam\nl: 0\n\n",
        ),
        403,
        404,
    ),
    _say(
        "cparam02",
        "3.3.13",
        _request(
            "REGISTER",
            "cparam02",
            "Contact: <sip:+19725552222@gw1.example.net;unknownparam>\nl: 0\n\n",
        ),
        403,
        404,
    ),
    _say(
        "regescrt",
        "3.3.14",
        _request(
            "REGISTER",
            "regescrt",
            "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\nl: 0\n\n",
        ),
        403,
        404,
    ),
    _say(
        "sdp01",
        "3.3.15",
        _invite("sdp01", USUAL, "Accept: text/nobodyKnowsThis\n"),
        406,
        CALL,
    ),
    _say(
        "inv2543",
        "3.4.1",
        "INVITE sip:UserB@example.com SIP/2.0\nVia: SIP/2.0/UDP iftgw.example.com\n"
        "From: <sip:+13035551111@ift.client.example.net;user=phone>\n"
        "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>\n"
        "To: sip:+16505552222@ss1.example.net;user=phone\n"
        "Call-ID: inv2543.1717@ift.client.example.com\nCSeq: 56 INVITE\n"
        "Content-Type: application/sdp\n\n" + SDP,
        CALL,
        400,
    ),
)

ALL = (*VALID, *INVALID, *LAYERS)
