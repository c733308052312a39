"""A small exchange on 127.0.0.1 that speaks Binance's public REST, with faults on request: what ccxt meets in `test_exchange`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import ccxt

HOUR = 3_600_000
START = 1_609_459_200_000  # 2021-01-01


@dataclass
class Exchange:
    """What the loopback exchange has and how it misbehaves. `faults` are used up one a request for bars, in order."""

    bars: int = 1_200
    now: int = START + 1_200 * HOUR + HOUR // 2
    faults: list[str] = field(default_factory=list)
    missing: range = range(0)
    shuffled: bool = False
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def candle(self, i: int) -> list[Any]:
        opened = START + i * HOUR
        price = 100.0 + (i * 37 % 101) / 10
        return [opened, f"{price}", f"{price + 2}", f"{price - 2}", f"{price + 1}", f"{i + 1}", opened + HOUR - 1, "0", 1, "0", "0", "0"]

    def klines(self, query: dict[str, str]) -> list[list[Any]]:
        first = max(0, -(-(int(query["startTime"]) - START) // HOUR))
        there = [i for i in range(first, self.bars + 1) if i not in self.missing][: int(query["limit"])]
        candles = [self.candle(i) for i in there]  # number `bars` is still open
        return [*candles[::-1], *candles[:3]] if self.shuffled else candles

    def funding(self, query: dict[str, str]) -> list[dict[str, Any]]:
        begin = int(query["startTime"])
        times = [START + i * 8 * HOUR for i in range(self.bars // 8 + 1)]
        rates = [
            {"symbol": "BTCUSDT", "fundingTime": t + 3, "fundingRate": f"{(t - START) // HOUR * 1e-6:.6f}"} for t in times if t + 3 >= begin
        ]
        return rates[: int(query["limit"])]

    def client(self) -> Any:
        """ccxt's Binance, turned to this exchange."""
        client = ccxt.binance({"enableRateLimit": True, "timeout": 2_000, "options": {"fetchMarkets": {"types": ["spot", "linear"]}}})
        client.rateLimit = 1
        client.urls["api"] = dict.fromkeys(client.urls["api"], "http://127.0.0.1:9") | {
            "public": f"{self.url}/api/v3",
            "fapiPublic": f"{self.url}/fapi/v1",
        }
        return client


def _listing(kind: str) -> dict[str, Any]:
    spot = (
        {"isSpotTradingAllowed": True, "permissions": ["SPOT"]} if kind == "api" else {"contractType": "PERPETUAL", "marginAsset": "USDT"}
    )
    market = {
        "symbol": "BTCUSDT",
        "pair": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "filters": [],
        "orderTypes": [],
    }
    return {"symbols": [{**market, **spot}]}


@contextmanager
def serve(exchange: Exchange) -> Iterator[Exchange]:
    """Run `exchange` on a free port of the loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            exchange.requests.append((parts.path, query))
            _, kind, _, what = parts.path.split("/")
            if what == "klines" and exchange.faults:
                fault = exchange.faults.pop(0)
                if fault == "drop":
                    self.connection.close()
                    return
                if fault != "fine":
                    crowded = fault == "429"
                    body = {"code": -1003, "msg": "Too many requests"} if crowded else {"code": -1001, "msg": "Internal error"}
                    self.answer(int(fault), body, {"Retry-After": "7"} if crowded else {})
                    return
            answers = {
                "time": lambda: {"serverTime": exchange.now},
                "exchangeInfo": lambda: _listing(kind),
                "klines": lambda: exchange.klines(query),
                "fundingRate": lambda: exchange.funding(query),
            }
            self.answer(200, answers[what](), {})

        def answer(self, status: int, body: Any, headers: dict[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it so
            """Quiet: the test looks at `requests`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    exchange.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield exchange
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
