# There is no house here, so somebody must take the other side: in this example, a second agent.
OTHER=$(key other-agent-$$)
order $KEY '"side":"BUY","type":"LIMIT","price":55,"qty":10,"client_order_id":"first"'
order $OTHER '"side":"SELL","type":"MARKET","qty":4'
curl -s $U/positions -H "Authorization: Bearer $KEY"; echo
