package protocol_test

import (
	"fmt"

	"tidings/hub/protocol"
)

func ExampleEncode() {
	scores := map[string]int{"alice": 1}
	encoded, err := protocol.Encode(scores, protocol.JSON(), protocol.MessagePack())
	if err != nil {
		fmt.Println(err)
		return
	}
	scores["alice"] = 2 // too late

	message := protocol.Share(&protocol.Invocation{Target: "Scores", Arguments: []any{encoded}})
	text, _ := message.Bytes(protocol.JSON())
	packed, _ := message.Bytes(protocol.MessagePack())
	fmt.Printf("%q\n%x\n", text, packed)
	// Output:
	// "{\"type\":1,\"target\":\"Scores\",\"arguments\":[{\"alice\":1}]}\x1e"
	// 15960180c0a653636f7265739181a5616c6963650190
}

func ExampleValue() {
	packed := protocol.Raw{0xc4, 0x02, 'h', 'i'} // bytes, from one client

	var v protocol.Value
	if err := protocol.MessagePack().Bind(packed, &v); err != nil {
		fmt.Println(err)
		return
	}
	text, _ := protocol.JSON().AppendValue(nil, v) // for another client
	fmt.Printf("%s\n", text)
	// Output: "aGk="
}
