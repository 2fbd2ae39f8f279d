package tidingsv1_test

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	tidingsv1 "tidings/proto/tidings/v1"
)

func ExampleCanonicalJSON() {
	payload, err := proto.Marshal(&tidingsv1.Event{
		Type:  "order.shipped",
		Title: "Your order is on its way",
		Data:  structpb.NewNumberValue(7),
		Ttl:   new(3600.0),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := tidingsv1.CanonicalJSON(payload)
	fmt.Println(string(text), err)

	_, err = tidingsv1.CanonicalJSON([]byte(`{"title":"JSON, by mistake"}`))
	fmt.Println(err)
	// Output:
	// {"type":"order.shipped","title":"Your order is on its way","data":7,"ttl":3600} <nil>
	// not a tidings.v1.Event: cannot parse invalid wire-format data
}
